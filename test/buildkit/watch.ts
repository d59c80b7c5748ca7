import { BUILDKIT_SATELLITE } from "../../src/commands/buildkit-class.ts";
import { systemClock } from "../../src/base/clock.ts";
import { guestProbe } from "../../src/commands/probe-guest.ts";
import { loadBuildkitSchema, loadGuestSchema } from "../../src/guest/schema.ts";
import type { ProbeTarget } from "../../src/operator/probe-target.ts";
import { setTimeout as delay } from "node:timers/promises";
import type { Builder } from "./builder.ts";

const PERIOD_MS = 250;

/** How the operator's own look at a VM fared while something else went on. */
export interface Watched<T> {
  readonly result: T;
  readonly looks: number;
  readonly unanswered: number;
  /** How long half of the looks took at most, and nine of ten. */
  readonly halfMs: number;
  readonly nineTenthsMs: number;
  readonly slowestMs: number;
}

/** Asks the VM as the operator does, with its time-out, until `work` is done. */
export async function watching<T>(builder: Builder, work: Promise<T>): Promise<Watched<T>> {
  const endpoint = builder.system.find(BUILDKIT_SATELLITE)?.status.endpoint;
  if (endpoint?.host === undefined || endpoint.port === undefined) {
    throw new Error("the satellite has no endpoint");
  }
  const target = { ...endpoint, tls: endpoint.tls ?? "Off" } as ProbeTarget;
  const probe = guestProbe({ guest: loadGuestSchema(), buildkit: loadBuildkitSchema() }, systemClock);
  const done = work.then(
    () => true,
    () => true,
  );
  const tookMs: number[] = [];
  const firstMs = performance.now();
  let unanswered = 0;
  do {
    const startedMs = performance.now();
    const { ready } = await probe(target);
    tookMs.push(performance.now() - startedMs);
    if (!ready) {
      unanswered += 1;
      console.log(
        `      nobody answered a look ${Math.round((startedMs - firstMs) / 1000)} s after the first`,
      );
    }
  } while (!(await Promise.race([done, delay(PERIOD_MS, false)])));
  tookMs.sort((left, right) => left - right);
  const within = (share: number): number => tookMs[Math.ceil(share * tookMs.length) - 1] ?? 0;
  return {
    result: await work,
    looks: tookMs.length,
    unanswered,
    halfMs: within(0.5),
    nineTenthsMs: within(0.9),
    slowestMs: within(1),
  };
}
