import { Registry } from "@prometheus-io/client";
import { Turns } from "../../src/base/turns.ts";
import { keyString } from "../../src/kube/objects.ts";
import type { Announcement } from "../../src/operator/action.ts";
import { AwakeQuota } from "../../src/operator/awake-quota.ts";
import type { BuildkitFacts } from "../../src/operator/buildkit-facts.ts";
import type { Dependencies, ProbeAnswer } from "../../src/operator/dependencies.ts";
import { HostEvents } from "../../src/operator/host-events.ts";
import { IdleTracker } from "../../src/operator/idle.ts";
import { MachineDirectory } from "../../src/operator/machine-directory.ts";
import { createOperatorMetrics } from "../../src/operator/metrics.ts";
import type { ProbeQuestion } from "../../src/operator/probe-target.ts";
import { Reconciler } from "../../src/operator/reconcile.ts";
import { defaultSettings, type OperatorSettings } from "../../src/operator/settings.ts";
import { findCondition, type ConditionType } from "../../src/satellite/conditions.ts";
import { SATELLITE_CLASSES, SATELLITES, type Condition } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { CLUSTER, satellite as makeSatellite, satelliteClass as makeClass } from "./fixtures.ts";
import { ObjectStore } from "./object-store.ts";
import { memoryPool } from "./memory-cloud.ts";
import { ScriptedCloud } from "./scripted-cloud.ts";

/** More steps than this without time passing are a busy loop. */
const MAX_STEPS_AT_ONCE = 100;
/** What the work queue does with a reconcile that threw, roughly. */
const ERROR_PAUSE_MS = 1000;

/** What a world begins with. */
export interface WorldOptions {
  readonly satellites?: readonly Satellite[];
  readonly satelliteClass?: SatelliteClass;
  readonly settings?: Partial<OperatorSettings>;
}

/**
 * The reconciler with a store, a scripted cloud and guests, all in virtual time: what the operator does, without
 * its processes. One satellite's steps follow each other as the work queue would have them.
 */
export class World {
  readonly clock = new VirtualClock();
  readonly store = new ObjectStore();
  readonly cloud = new ScriptedCloud(this.clock);
  readonly events: (Announcement & { readonly satellite: string })[] = [];
  readonly hostEvents = new HostEvents();
  readonly logger = new CollectingLogger();
  readonly dependencies: Dependencies;
  /** What the guest of each machine (by address) answers; a machine that runs answers by default. */
  answers: (address: string) => boolean = () => true;
  /** The key that the guest of a machine (by ID) serves TLS with; undefined: it serves plain text. */
  keyOf: (id: string) => string | undefined = () => undefined;
  /** Whether something answers even at the address of a machine that does not run any more. */
  alwaysAnswers = false;
  /** What a guest's BuildKit says of itself. */
  buildkit: (measures: boolean) => BuildkitFacts | undefined = () => undefined;
  /** Called at each look at a guest's port, before it answers. */
  onProbe: (address: string) => void = () => {};
  runningWork = 0;
  /** What each user data that was made tells the guest about TLS. */
  readonly tlsInUserData: string[] = [];
  /** Reconciles that threw: their failure was shown nowhere. */
  readonly thrown: unknown[] = [];
  #reconciler: Reconciler;
  readonly #due = new Map<string, number>();

  constructor(options: WorldOptions = {}) {
    this.store.put(SATELLITE_CLASSES, options.satelliteClass ?? makeClass());
    for (const satellite of options.satellites ?? [makeSatellite()]) {
      this.add(satellite);
    }
    const directory = new MachineDirectory();
    const clouds = memoryPool(this.cloud);
    this.dependencies = {
      cluster: CLUSTER,
      client: this.store,
      writes: new Turns(1000),
      satellites: {
        get: (key) => this.#find(key),
        list: () =>
          [...this.#due.keys()].map((key) => this.#find(key)).filter((found) => found !== undefined),
        upsert: () => {},
      },
      classes: { get: (name) => this.store.find(SATELLITE_CLASSES, { name }) as SatelliteClass | undefined },
      cloudOf: ({ spec }) => clouds.of(spec),
      directory,
      hostEvents: this.hostEvents,
      listMachines: async () => {
        directory.replace(await this.cloud.list());
      },
      idle: new IdleTracker(this.clock),
      quota: new AwakeQuota(
        this.clock,
        () => this.dependencies.satellites.list(),
        (className) =>
          directory.unnamed(className, {
            naming: (id) =>
              this.dependencies.satellites.list().filter(({ status }) => status.machine?.id === id),
            get: (key) => this.#find(key),
          }),
      ),
      probe: (target) => Promise.resolve(this.#probe(target)),
      userDataFor: ({ spec }) => {
        this.tlsInUserData.push(spec.guest.tls);
        return Promise.resolve("#cloud-config\n");
      },
      owns: () => true,
      assertMayAct: () => {},
      announce: (satellite, announcement) =>
        this.events.push({ ...announcement, satellite: satellite.metadata.name }),
      metrics: createOperatorMetrics(new Registry(), () => []),
      clock: this.clock,
      random: () => 0.5,
      logger: this.logger,
      settings: { ...defaultSettings, ...options.settings },
    };
    this.#reconciler = new Reconciler(this.dependencies);
  }

  add(satellite: Satellite): void {
    this.store.put(SATELLITES, satellite);
    this.#due.set(
      keyString({ namespace: satellite.metadata.namespace ?? "", name: satellite.metadata.name }),
      0,
    );
  }

  /** Another process takes over: everything that was only remembered is gone. */
  restart(): void {
    this.#reconciler = new Reconciler(this.dependencies);
  }

  /** Lets time pass, each satellite being worked on when it is due. */
  async run(durationMs: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + durationMs;
    for (const key of this.#due.keys()) {
      this.#due.set(key, this.clock.monotonicMs());
    }
    for (;;) {
      const next = [...this.#due].reduce<[string, number] | undefined>(
        (first, entry) => (first === undefined || entry[1] < first[1] ? entry : first),
        undefined,
      );
      if (next === undefined || next[1] > untilMs) {
        await this.clock.advance(untilMs - this.clock.monotonicMs());
        return;
      }
      if (next[1] > this.clock.monotonicMs()) {
        await this.clock.advance(next[1] - this.clock.monotonicMs());
      }
      await this.#work(next[0]);
    }
  }

  satellite(name = "ada"): Satellite {
    return this.store.edit<Satellite>(SATELLITES, { namespace: "team-a", name }, () => {});
  }

  exists(name = "ada"): boolean {
    return this.store.find(SATELLITES, { namespace: "team-a", name }) !== undefined;
  }

  edit(change: (satellite: Satellite) => void, name = "ada"): void {
    this.store.edit<Satellite>(SATELLITES, { namespace: "team-a", name }, change);
  }

  editClass(change: (satelliteClass: SatelliteClass) => void): void {
    this.store.edit<SatelliteClass>(SATELLITE_CLASSES, { name: "default" }, change);
  }

  setPower(desiredPower: "on" | "off", name = "ada"): void {
    this.edit(({ spec }) => {
      spec.desiredPower = desiredPower;
    }, name);
  }

  condition(type: ConditionType, name = "ada"): Condition | undefined {
    return findCondition(this.satellite(name).status.conditions, type);
  }

  #find(key: string): Satellite | undefined {
    const [namespace = "", name = ""] = key.split("/");
    return this.store.find(SATELLITES, { namespace, name }) as Satellite | undefined;
  }

  async #work(key: string): Promise<void> {
    const nowMs = this.clock.monotonicMs();
    for (let step = 0; step < MAX_STEPS_AT_ONCE; step++) {
      try {
        const result = await this.#reconciler.reconcile(key);
        if (result?.requeueAfterMs !== 0) {
          this.#due.set(key, nowMs + (result?.requeueAfterMs ?? Infinity));
          return;
        }
      } catch (error) {
        this.thrown.push(error);
        this.#due.set(key, nowMs + ERROR_PAUSE_MS);
        return;
      }
    }
    throw new Error(`${key} was worked on ${MAX_STEPS_AT_ONCE} times without time passing`);
  }

  #probe({ host, tls, tlsFingerprint, isBuildkit, measures }: ProbeQuestion): ProbeAnswer {
    this.onProbe(host);
    const found = [...this.cloud.machines.values()].find(({ address }) => address === host);
    const isUp = found?.state === "running" || this.alwaysAnswers;
    if (found === undefined || !isUp || !this.answers(host)) {
      return { ready: false, runningWork: 0 };
    }
    const bootID = this.cloud.bootIDs.get(found.id);
    const key = this.keyOf(found.id);
    const buildkit = isBuildkit === true ? this.buildkit(measures === true) : undefined;
    const answer = {
      ready: true,
      runningWork: this.runningWork,
      ...(bootID === undefined ? {} : { bootID }),
      ...(buildkit === undefined ? {} : { buildkit }),
    };
    if (tls === "Off") {
      return key === undefined ? answer : { ready: false, runningWork: 0 };
    }
    if (key === undefined) {
      return { ready: false, runningWork: 0, notTls: `the VM at ${host}:8372 does not serve TLS` };
    }
    return tlsFingerprint === undefined || tlsFingerprint === key
      ? { ...answer, shown: key }
      : { ready: false, runningWork: 0, shown: key };
  }
}
