// A whole router in a process of its own, with all checks on: addresses by metadata, tokens by TokenReview, rights by
// SubjectAccessReview, the gate and its lease; the API server behind them is in memory.
//   router-server.ts spliced|mapped UPSTREAM_PORT PORT [KEY CERT]
// At SIGTERM it prints what it saw of itself: {reviews, loopDelayP99Ms}.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import process from "node:process";

import { systemClock } from "../../src/base/clock.ts";
import type { KubeClient } from "../../src/kube/client.ts";
import { createTokenAccess, DEFAULT_AUDIENCE } from "../../src/router/token-access.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { awake } from "../../test/router/satellites.ts";
import { going, RouterBench, wayNamed } from "../../test/router/support/router-bench.ts";

const [way, upstreamPort = "", port = "", keyFile, certFile] = process.argv.slice(2);
const WARM_UP_MS = 1000;
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

const bench = new RouterBench(
  [awake({ name: "bench", status: { endpoint: { host: "127.0.0.1", port: Number(upstreamPort) } } })],
  {
    ...going(wayNamed(way)),
    ...(keyFile === undefined || certFile === undefined
      ? {}
      : { tls: { key: readFileSync(keyFile), cert: readFileSync(certFile) } }),
  },
  { access: createTokenAccess({ client: reviewer, clock: systemClock, logger: silentLogger }) },
);
await bench.router.listen({ host: "127.0.0.1", port: Number(port) });

// Not from the start: compiling is over after a second of requests.
const delay = monitorEventLoopDelay({ resolution: 1 });
setTimeout(() => delay.enable(), WARM_UP_MS).unref();
process.once("SIGTERM", () => {
  process.stdout.write(
    `${JSON.stringify({ reviews, loopDelayP99Ms: Number((delay.percentile(99) / 1e6).toFixed(1)) })}\n`,
    () => process.exit(),
  );
});
