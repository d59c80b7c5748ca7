// A whole router in a process of its own, with all checks on: addresses by metadata, tokens by TokenReview, rights by
// SubjectAccessReview, the gate and its lease; the API server behind them is in memory.
//   router-server.ts [--workers=N] UPSTREAM_PORT[,UPSTREAM_PORT...] PORT [KEY CERT]
// The satellites are bench, bench-1, bench-2, … With several workers each has an API server of its own.
// At SIGTERM it prints what it saw of itself: {reviews, loopDelayP99Ms}.
import cluster from "node:cluster";
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import process from "node:process";
import { parseArgs } from "node:util";

import { systemClock } from "../../src/base/clock.ts";
import type { KubeClient } from "../../src/kube/client.ts";
import { createTokenAccess, DEFAULT_AUDIENCE } from "../../src/router/token-access.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { awake } from "../../test/router/satellites.ts";
import { RouterBench } from "../../test/router/support/router-bench.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { workers: { type: "string", default: "1" } },
});
const [upstreamPorts = "", port = "", keyFile, certFile] = positionals;
const WARM_UP_MS = 1000;
/** As often as the router's own metrics look at the loop; more often, and each wait of it ends by a timer. */
const LOOP_RESOLUTION_MS = 10;
let reviews = 0;

/** Knows every token and allows everything. */
const reviewer: Pick<KubeClient, "create"> = {
  create: (_type, object) => {
    reviews += 1;
    const status = {
      authenticated: true,
      user: { username: "bench", groups: [] },
      audiences: [DEFAULT_AUDIENCE],
      allowed: true,
    };
    return Promise.resolve({ ...object, status } as never);
  },
};

/** As `satellites router --workers` does it. */
function startWorkers(count: number): void {
  for (let place = 0; place < count; place += 1) {
    cluster.fork();
  }
  process.once("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers ?? {})) {
      worker?.process.kill("SIGKILL");
    }
    process.exit();
  });
}

async function serve(): Promise<void> {
  const bench = new RouterBench(
    upstreamPorts.split(",").map((upstreamPort, place) =>
      awake({
        name: place === 0 ? "bench" : `bench-${place}`,
        status: { endpoint: { host: "127.0.0.1", port: Number(upstreamPort) } },
      }),
    ),
    keyFile === undefined || certFile === undefined
      ? {}
      : { tls: { key: readFileSync(keyFile), cert: readFileSync(certFile) } },
    { access: createTokenAccess({ client: reviewer, clock: systemClock, logger: silentLogger }) },
  );
  await bench.router.listen({ host: "127.0.0.1", port: Number(port) });

  // Not from the start: most is compiled after a second of requests.
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  setTimeout(() => delay.enable(), WARM_UP_MS).unref();
  process.once("SIGTERM", () => {
    const loopDelayP99Ms = Number((delay.percentile(99) / 1e6 - LOOP_RESOLUTION_MS).toFixed(1));
    process.stdout.write(`${JSON.stringify({ reviews, loopDelayP99Ms })}\n`, () => process.exit());
  });
}

if (cluster.isPrimary && Number(values.workers) > 1) {
  startWorkers(Number(values.workers));
} else {
  await serve();
}
