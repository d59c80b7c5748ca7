import { Registry } from "@prometheus-io/client";

import { systemClock } from "../../../src/base/clock.ts";
import { ObjectCache } from "../../../src/kube/cache.ts";
import { anonymousLoopback, type Access } from "../../../src/router/access.ts";
import { createRouter, type Router, type RouterOptions } from "../../../src/router/router.ts";
import type { Satellite } from "../../../src/satellite/types.ts";
import { silentLogger, type Logger } from "../../../src/telemetry/logger.ts";
import { SatelliteServer } from "../satellite-server.ts";
import { KEY, ROUTER } from "../gate-bench.ts";
import { power } from "../satellites.ts";

/** A whole router on loopback, against the embedded API server. */
export class RouterBench {
  readonly server = new SatelliteServer();
  readonly registry = new Registry();
  readonly router: Router;
  port = 0;

  constructor(
    satellites: readonly Satellite[],
    options: RouterOptions = {},
    {
      synced = Promise.resolve(),
      access = anonymousLoopback({ logger: silentLogger }),
      logger = silentLogger,
    }: { readonly synced?: Promise<void>; readonly access?: Access; readonly logger?: Logger } = {},
  ) {
    for (const object of satellites) {
      this.server.put(object);
    }
    const cache = new ObjectCache<Satellite>({ clock: systemClock, logger });
    this.server.connect(cache);
    this.router = createRouter({
      client: this.server,
      satellites: { cache, synced },
      access,
      clock: systemClock,
      random: Math.random,
      logger,
      registry: this.registry,
      routerId: ROUTER,
      options,
    });
  }

  static async start(
    satellites: readonly Satellite[],
    options: RouterOptions = {},
    more: { readonly access?: Access } = {},
  ): Promise<RouterBench> {
    const bench = new RouterBench(satellites, options, more);
    bench.port = (await bench.router.listen({ host: "127.0.0.1", port: 0 })).port;
    return bench;
  }

  /** The operator's part: the satellite runs, its VM at `port`. */
  runs(port: number, epoch = 4, key = KEY): void {
    this.server.change(key, (object) => {
      object.spec.desiredPower = "on";
      object.status.power = power("Running", { epoch });
      object.status.phase = "Running";
      object.status.endpoint = { host: "127.0.0.1", port };
    });
  }

  /** Resolves when so many requests are held. */
  async held(count: number): Promise<void> {
    await until(async () => (await this.metric("satellites_router_held_requests")) === count);
  }

  /** Requests that ended, by what the router counts them as. */
  async requests(): Promise<Map<string, number>> {
    const metric = await this.registry.getSingleMetric("satellites_router_requests_total")?.get();
    return new Map(metric?.values.map(({ labels, value }) => [String(labels["code"]), value]));
  }

  async metric(name: string): Promise<number | undefined> {
    return (await this.registry.getSingleMetric(name)?.get())?.values[0]?.value;
  }
}

/** Polls, without a pause that would count on time, until `condition` holds; the test's own timeout bounds it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}
