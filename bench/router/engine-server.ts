import { GrpcStatus, type Admission, type Gatekeeper, type Upstream } from "../../src/router/engine.ts";
import { SpliceEngine, type TlsMaterial } from "../../src/router/splice/engine.ts";
import { createStreamEngine } from "../../src/router/stream/engine.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { readFileSync } from "node:fs";

/**
 * An engine alone in a process: `engine-server.ts direct|multiplexed UPSTREAM_PORT PORT [KEY CERT]`. The
 * gatekeeper admits everything that has a path, drops one credential header, and counts releases.
 */
const [kind = "", upstreamPort = "", port = "", keyFile, certFile] = process.argv.slice(2);
const upstream: Upstream = {
  satellite: "bench/bench",
  epoch: 1,
  host: "127.0.0.1",
  port: Number(upstreamPort),
};
const drop: ReadonlySet<string> = new Set(["authorization"]);
let open = 0;
let failures = 0;
let lastFailure = "";

const gatekeeper: Gatekeeper = {
  admit(_connection, headers): Admission {
    if (!headers.some(([name]) => name === ":path")) {
      return { kind: "refuse", status: GrpcStatus.INVALID_ARGUMENT, message: "no path", metadata: [] };
    }
    open += 1;
    return { kind: "forward", upstream, drop, heldMs: 0, release: () => (open -= 1) };
  },
  upstreamFailed(_upstream, error) {
    failures += 1;
    lastFailure = error.message;
  },
};

const tls: TlsMaterial | undefined =
  keyFile === undefined || certFile === undefined
    ? undefined
    : { key: readFileSync(keyFile), cert: readFileSync(certFile) };
const options = { gatekeeper, logger: silentLogger, ...(tls === undefined ? {} : { tls }) };
const engine =
  kind === "direct"
    ? new SpliceEngine(options)
    : createStreamEngine({
        ...options,
        clock: systemClock,
        localService: { handles: () => false, serve: () => {} },
        onRequestEnd: () => {},
      });
await engine.listen({ host: "127.0.0.1", port: Number(port) });
process.once("SIGTERM", () => void stop());

async function stop(): Promise<void> {
  await engine.close();
  if (open !== 0) {
    process.stderr.write(`${open} admissions were not released\n`);
    process.exitCode = 1;
  }
  if (failures > 0) {
    process.stderr.write(`${failures} upstream failures, the last: ${lastFailure}\n`);
  }
}
