import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

import type { ConnectedKubeClient } from "../../src/kube/http-client.ts";
import { hasReason } from "../../src/kube/errors.ts";
import type { Reflector } from "../../src/kube/reflector.ts";
import { PowerReason } from "../../src/satellite/power.ts";
import { SATELLITES, type Power } from "../../src/satellite/resource.ts";
import { statusPatch } from "../../src/satellite/status-patch.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import type { Vm } from "./vm.ts";

/** How long routers are given to let go of a VM, in milliseconds: the satellite's drainTimeout. */
export const DRAIN_TIMEOUT_MS = 30_000;

type Phase = NonNullable<Satellite["status"]["phase"]>;

/**
 * The operator's part of the power protocol for one satellite whose VM is a process on loopback: a start when it is
 * wished on, a drain and a stop when it is wished off. Each write goes through the API server with the protocol's own
 * tests, so that the router cannot tell it from the real operator.
 */
export class LoopbackOperator {
  readonly #client: ConnectedKubeClient;
  readonly #reflector: Reflector<Satellite>;
  readonly #key: { readonly namespace: string; readonly name: string };
  readonly #vm: Vm;
  readonly #ending = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #drainingSinceMs: number | undefined;
  #bell = Promise.withResolvers<void>();

  constructor(
    client: ConnectedKubeClient,
    reflector: Reflector<Satellite>,
    key: { readonly namespace: string; readonly name: string },
    vm: Vm,
  ) {
    this.#client = client;
    this.#reflector = reflector;
    this.#key = key;
    this.#vm = vm;
  }

  /** The satellite as this operator has it. */
  get satellite(): Satellite | undefined {
    return this.#reflector.cache.get(`${this.#key.namespace}/${this.#key.name}`);
  }

  start(): void {
    const ring = (): void => this.#bell.resolve();
    const unsubscribe = this.#reflector.cache.subscribe({ added: ring, updated: ring });
    this.#work = this.#run().finally(unsubscribe);
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#work;
  }

  /** Wishes it on, as a person would, and waits until it runs. */
  async wake(): Promise<void> {
    await this.#wish("on");
    await this.#until("awake", ({ state }) => state === "Running");
  }

  /**
   * Wishes it off, as a person would, and waits until its power is as given. A router's wake that was under way may land
   * after the wish and is then the last word, so it is wished again.
   */
  async sleep(what: string, holds: (power: Power) => boolean): Promise<void> {
    await this.#wish("off");
    await this.#until(what, holds, () => this.#wish("off"));
  }

  /** Waits until a new stretch of being awake has begun. */
  async awakeAgain(epoch: number): Promise<void> {
    await this.#until("awake again", (power) => power.state === "Running" && power.epoch > epoch);
  }

  async #wish(desiredPower: "on" | "off"): Promise<void> {
    const patch = { type: "merge", body: { spec: { desiredPower } } } as const;
    this.#reflector.cache.upsert(await this.#client.patch<Satellite>(SATELLITES, this.#key, patch));
  }

  /** @throws Error when it takes longer than a drain may */
  async #until(what: string, holds: (power: Power) => boolean, again?: () => Promise<void>): Promise<void> {
    const untilMs = performance.now() + 2 * DRAIN_TIMEOUT_MS;
    while (this.satellite === undefined || !holds(this.satellite.status.power)) {
      if (performance.now() > untilMs) {
        throw new Error(`the satellite is not ${what}: ${JSON.stringify(this.satellite)}`);
      }
      await delay(5);
      if (this.satellite?.status.power.state === "Running" && this.satellite.spec.desiredPower === "on") {
        await again?.();
      }
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      this.#bell = Promise.withResolvers<void>();
      const acted = this.satellite !== undefined && (await this.#step(this.satellite));
      if (!acted) {
        const [again, rung] = [new AbortController(), this.#bell.promise];
        await Promise.race([
          rung,
          once(signal, "abort", { signal: again.signal }).catch(() => {}),
          delay(1000, undefined, { signal: again.signal }).catch(() => {}),
        ]);
        again.abort();
      }
    }
  }

  /** @returns whether it did something, and what came of it is to be looked at at once */
  async #step(satellite: Satellite): Promise<boolean> {
    const { spec, status } = satellite;
    const { power } = status;
    switch (power.state) {
      case "Off": {
        if (spec.desiredPower === "off") {
          return false;
        }
        const epoch = power.epoch + 1;
        const starting = {
          state: "Starting",
          reason: PowerReason.Wake,
          epoch,
          accepted: false,
          fence: 0,
        } as const;
        return this.#write(satellite, starting, "Waking");
      }
      case "Starting":
        if (!this.#vm.isRunning) {
          await this.#vm.start();
        }
        return power.accepted
          ? this.#write(satellite, { ...power, state: "Running" }, "Running")
          : this.#write(satellite, { ...power, accepted: true }, "Waking");
      case "Running":
        this.#drainingSinceMs = undefined;
        return (
          spec.desiredPower === "off" &&
          this.#write(satellite, { ...power, state: "Stopping", reason: PowerReason.Draining }, "Draining")
        );
      case "Stopping":
      case "Updating":
        return this.#stopWhenDrained(satellite);
    }
  }

  async #stopWhenDrained(satellite: Satellite): Promise<boolean> {
    const { activity, power } = satellite.status;
    this.#drainingSinceMs ??= performance.now();
    const isDrained = Object.values(activity).every(({ drainedEpoch }) => drainedEpoch === power.epoch);
    if (!isDrained && performance.now() < this.#drainingSinceMs + DRAIN_TIMEOUT_MS) {
      return false;
    }
    await this.#vm.stop();
    return this.#write(satellite, { ...power, state: "Off" }, "Asleep");
  }

  async #write(satellite: Satellite, power: Power, phase: Phase): Promise<boolean> {
    const { host, port } = this.#vm;
    // A VM that never ran has no address yet.
    const endpoint = port === 0 ? satellite.status.endpoint : { host, port };
    const operations = statusPatch(satellite, { ...satellite.status, power, phase, endpoint });
    if (operations === undefined) {
      return false;
    }
    try {
      const answer = await this.#client.patch<Satellite>(
        SATELLITES,
        this.#key,
        { type: "json", operations },
        { subresource: "status" },
      );
      this.#reflector.cache.upsert(answer);
      return true;
    } catch (error) {
      if (hasReason(error, "Invalid")) {
        return false; // Somebody wrote meanwhile; the watch brings it.
      }
      throw error;
    }
  }
}
