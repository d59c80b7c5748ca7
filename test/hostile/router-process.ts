// A whole router in a process of its own, for the attacks:
//   node --expose-gc router-process.ts VM_PORT EVIL_VM_PORT
// Two satellites are awake: team-a/ada, whose VM behaves, and team-a/eve, whose VM does not. Requests that name none go
// to ada. It tells its parent {port}, and answers every message with {rssBytes}.
import process from "node:process";

import { awake } from "../router/satellites.ts";
import { RouterBench } from "../router/support/router-bench.ts";

const [vmPort, evilPort] = process.argv.slice(2);
const at = (port: string | undefined): { endpoint: { host: string; port: number } } => ({
  endpoint: { host: "127.0.0.1", port: Number(port) },
});
const bench = await RouterBench.start(
  [awake({ status: at(vmPort) }), awake({ name: "eve", uid: "uid-eve", status: at(evilPort) })],
  { address: { defaultSatellite: { namespace: "team-a", name: "ada" } } },
);
process.on("message", () => {
  globalThis.gc?.();
  process.send?.({ rssBytes: process.memoryUsage.rss() });
});
process.once("disconnect", () => process.exit());
process.send?.({ port: bench.port });
