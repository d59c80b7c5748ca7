import { seededRandom, type Attack, type Target } from "./attack.ts";
import { Child } from "./child.ts";
import { EVIL_VMS, EvilVm } from "./evil-vm.ts";
import { CLIENT_FLOODS } from "./floods.ts";
import { FUZZ } from "./fuzz.ts";
import { GoodClient } from "./good-client.ts";
import { H2SPEC } from "./h2spec.ts";
import { IDLE_SOCKETS, SLOW_CLIENTS } from "./slow.ts";

/** All attacks, in the order in which they are made. */
export const ATTACKS: readonly Attack[] = [
  H2SPEC,
  IDLE_SOCKETS,
  ...CLIENT_FLOODS,
  ...EVIL_VMS,
  ...FUZZ,
  ...SLOW_CLIENTS,
];

/** Resident memory that the router may have after an attack, in bytes: what the Helm chart allows its container. */
const MAX_RSS_BYTES = 512 * 1024 * 1024;

/** How an attack ended for everybody. */
export interface Result {
  readonly name: string;
  readonly inputs: number;
  readonly figure: string;
  /** Requests of the client that behaves, during the attack. */
  readonly served: number;
  readonly slowestMs: number;
  readonly rssMiB: number;
  readonly problems: readonly string[];
}

/** How a suite is run. */
export interface SuiteOptions {
  readonly attacks: readonly Attack[];
  readonly seed: number;
  readonly scale: number;
  readonly onResult: (result: Result) => void;
}

/** Makes attacks on one router, one after the other, while a client that behaves goes on with its work. */
export async function runSuite({ attacks, seed, scale, onResult }: SuiteOptions): Promise<Result[]> {
  const vm = await Child.start("vm-process.ts");
  const evilVm = await EvilVm.start();
  const router = await Child.start("router-process.ts", [String(vm.port), String(evilVm.port)]);
  const client = new GoodClient(router.port);
  const target: Target = { router, vm, evilVm, random: seededRandom(seed), scale };
  const results: Result[] = [];
  try {
    for (const attack of attacks) {
      const result = await make(attack, target, client);
      results.push(result);
      onResult(result);
      if (!router.isAlive) {
        break;
      }
    }
  } finally {
    await client.stop();
    await router.stop();
    await vm.stop();
    await evilVm.stop();
  }
  return results;
}

async function make(attack: Attack, target: Target, client: GoodClient): Promise<Result> {
  const { router } = target;
  client.take();
  const { inputs, figure, problems } = await attack.run(target);
  const { name } = attack;
  if (!router.isAlive) {
    const dead = [...problems, "the router died"];
    return { name, inputs, figure, served: 0, slowestMs: 0, rssMiB: 0, problems: dead };
  }
  await client.settle();
  const rssBytes = await router.rssBytes();
  const { succeeded, failures, slowestMs } = client.take();
  const all = [...problems, ...new Set(failures.map((failure) => `the client that behaves: ${failure}`))];
  if (succeeded === 0) {
    all.push("the client that behaves was not served");
  }
  const rssMiB = Math.round(rssBytes / 2 ** 20);
  if (rssBytes > MAX_RSS_BYTES) {
    all.push(`the router keeps ${rssMiB} MiB`);
  }
  return { name, inputs, figure, served: succeeded, slowestMs, rssMiB, problems: all };
}
