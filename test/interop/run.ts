// Tries the router with clients and a server that others wrote (docs/testing.md, "Strangers"):
//   node test/interop/run.ts [--transport plain|tls] [--only TEXT] [--rounds N]
//     [--router MAIN]
// With --rounds the soaks alone are made, so often in a row and in every state. --router tries another tree's main.ts.
// The last line says "interop: N cases, M failed". Exit code 2 says that grpcio could not be had.
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";

import { pythonWithGrpc } from "../support/python-grpc.ts";
import { requireTool } from "../tools/catalog.ts";
import type { Programs } from "./case.ts";
import { NEGATIVE } from "./negative.ts";
import { NegativeVm } from "./negative-vm.ts";
import { OFFICIAL } from "./official.ts";
import { longSoaks, QUICK_SOAKS } from "./soak.ts";
import { TALKS } from "./talks.ts";
import { GrpcGoVm, type Vm } from "./vm.ts";
import { World } from "./world.ts";

const { values: options } = parseArgs({
  options: {
    transport: { type: "string" },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "0" },
    router: { type: "string", default: join(import.meta.dirname, "../../src/main.ts") },
  },
});
const rounds = Number(options.rounds);
let made = 0;
let failed = 0;

/** A case with everything that it needs. */
interface Bound {
  readonly name: string;
  readonly run: () => Promise<string | void>;
}

async function tryCase(title: string, world: World, { name, run }: Bound): Promise<void> {
  const startedMs = performance.now();
  let problem: string | undefined;
  let figure: string | void = undefined;
  try {
    figure = await run();
    world.checkRouter();
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  made += 1;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6);
  console.log(
    `${title}  ${seconds} s  ${problem === undefined ? "" : "FAILED "}${name}${figure ? `: ${figure}` : ""}`,
  );
  if (problem !== undefined) {
    failed += 1;
    console.log(problem.replaceAll(/^/gm, "    "));
  }
}

async function trySection(
  { tls, vm }: { readonly tls: boolean; readonly vm: Vm },
  cases: (world: World) => readonly Bound[],
): Promise<void> {
  const title = tls ? "TLS  " : "plain";
  const world = await World.start({ tls, vm, routerMain: resolve(options.router) });
  try {
    for (const one of cases(world).filter(({ name }) => name.includes(options.only))) {
      await tryCase(title, world, one);
    }
  } finally {
    await world.stop();
  }
}

async function tryEverything(programs: Programs): Promise<void> {
  for (const tls of [false, true]) {
    if ((options.transport ?? (tls ? "tls" : "plain")) !== (tls ? "tls" : "plain")) {
      continue;
    }
    const vm = new GrpcGoVm(programs.peer);
    const cases = rounds > 0 ? longSoaks(rounds) : [...OFFICIAL, ...TALKS, ...QUICK_SOAKS];
    await trySection({ tls, vm }, (world) =>
      cases.map(({ name, run }) => ({ name, run: () => run({ world, vm, programs }) })),
    );
    if (!tls && rounds === 0) {
      const negative = new NegativeVm();
      await trySection({ tls, vm: negative }, (world) =>
        NEGATIVE.map(({ name, run }) => ({ name, run: () => run({ world, vm: negative, programs }) })),
      );
    }
  }
}

const python = await pythonWithGrpc();
if (typeof python === "object") {
  console.error(python.missing);
  process.exit(2);
}
await tryEverything({
  peer: requireTool("interop-peer"),
  client: requireTool("interop-client"),
  http2: requireTool("interop-http2"),
  python,
});
console.log(`interop: ${made} cases, ${failed} failed`);
process.exit(failed === 0 && made > 0 ? 0 : 1);
