import type { Programs } from "./case.ts";
import { NEGATIVE_CASES, type NegativeCase, type NegativeVm } from "./negative-vm.ts";
import { runToEnd } from "./stranger.ts";
import type { World } from "./world.ts";

/** One case of the negative client through the router. */
export interface NegativeTrial {
  readonly world: World;
  readonly vm: NegativeVm;
  readonly programs: Programs;
}

/** What the client says at last, without what differs from run to run; "" when it is content. */
async function verdict({ http2 }: Programs, port: number, testCase: NegativeCase): Promise<string> {
  const { status, output } = await runToEnd(http2, [
    "--server_host=127.0.0.1",
    `--server_port=${port}`,
    `--test_case=${testCase}`,
  ]);
  const last = output.trim().split("\n").at(-1) ?? "";
  return status === 0 ? "" : last.replace(/^\S+ \S+ /, "").replaceAll(/0x[0-9a-f]+/g, "0x");
}

/** The negative client speaks cleartext only. It must say through the router what it says of the VM alone. */
export const NEGATIVE = NEGATIVE_CASES.map((testCase) => ({
  name: `grpc-go's negative client, ${testCase}`,
  run: async ({ world, vm, programs }: NegativeTrial): Promise<string | void> => {
    await world.asleep();
    vm.case = testCase;
    await world.awake();
    const alone = await verdict(programs, vm.port, testCase);
    vm.judge();
    const through = await verdict(programs, world.port, testCase);
    if (through !== alone) {
      throw new Error(
        `through the router: ${through || "content"}; with the VM alone: ${alone || "content"}`,
      );
    }
    vm.judge();
    return alone === "" ? undefined : `with the VM alone, too: ${alone}`;
  },
}));
