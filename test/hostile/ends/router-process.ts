// A whole router in a process of its own, for what ends connections:
//   node router-process.ts plain|tls VM_PORT ENDING_VM_PORT [FINGERPRINT]
// ada's VM behaves, those of the eves end their connections, zed sleeps for ever, zoe falls asleep and wakes all the time; credentials
// are wrong. An uncaught error ends the process. It tells its parent {port}, and answers every message with a Census.
import process from "node:process";

import { anonymousLoopback, type Access } from "../../../src/router/access.ts";
import { GrpcStatus } from "../../../src/router/engine.ts";
import { firstValue } from "../../../src/router/header-list.ts";
import { refusal } from "../../../src/router/refusal.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { awake, power, satellite } from "../../router/satellites.ts";
import { newAuthority } from "../../router/relay/support/certificate.ts";
import { RouterBench } from "../../router/support/router-bench.ts";
import { ENDING } from "./conversations.ts";

/** What a router has open. */
export interface Census {
  readonly streams: number;
  readonly held: number;
  /** TCP connections, to clients and to VMs. */
  readonly sockets: number;
}

const RESTLESS_MS = 150;
const RESTLESS = "team-a/zoe";

const [security, vmPort, endingPort, tlsFingerprint] = process.argv.slice(2);

const open = anonymousLoopback({ logger: silentLogger });
const access: Access = {
  checkListener: (host, isTls) => open.checkListener(host, isTls),
  check(request) {
    return firstValue(request.headers, "authorization") === undefined
      ? open.check(request)
      : refusal(GrpcStatus.UNAUTHENTICATED, "the credential is wrong", "InvalidCredential");
  },
};

const at = (port: string | undefined, key?: string): object => ({
  endpoint: {
    host: "127.0.0.1",
    port: Number(port),
    ...(key === undefined ? {} : { tls: "Required", tlsFingerprint: key }),
  },
});
const bench = new RouterBench(
  [
    awake({ status: at(vmPort) }),
    ...ENDING.map((name) => awake({ name, uid: `uid-${name}`, status: at(endingPort, tlsFingerprint) })),
    satellite({ name: "zed", uid: "uid-zed" }),
    awake({ name: "zoe", uid: "uid-zoe", status: at(endingPort, tlsFingerprint) }),
  ],
  {
    ...(security === "tls" ? { tls: await newAuthority() } : {}),
    address: { defaultSatellite: { namespace: "team-a", name: "ada" } },
  },
  { access },
);

/** The operator's part for zoe: off and on again, each time a new stretch of being awake. */
function turn(): void {
  bench.server.change(RESTLESS, ({ spec, status }) => {
    const { state, epoch } = status.power;
    if (state === "Off") {
      spec.desiredPower = "on";
      status.power = power("Running", { epoch: epoch + 1 });
      status.phase = "Running";
    } else {
      const isStopping = state === "Stopping";
      spec.desiredPower = "off";
      status.power = power(isStopping ? "Off" : "Stopping", { epoch });
      status.phase = isStopping ? "Asleep" : "Stopping";
    }
  });
}
setInterval(turn, RESTLESS_MS);

const count = (resource: string): number =>
  process.getActiveResourcesInfo().filter((name) => name === resource).length;

process.on("message", () => {
  void (async () => {
    const census: Census = {
      streams: (await bench.metric("satellites_router_streams_open")) ?? 0,
      held: (await bench.metric("satellites_router_held_requests")) ?? 0,
      sockets: count("TCPSocketWrap"),
    };
    process.send?.(census);
  })();
});
process.once("disconnect", () => process.exit());
process.send?.({ port: (await bench.router.listen({ host: "127.0.0.1", port: 0 })).port });
