import { untilAborted } from "../base/abort.ts";
import { sleep } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import { Turns } from "../base/turns.ts";
import { EventRecorder } from "../kube/events.ts";
import { LeaderElector, type LeadershipEnd } from "../kube/leader-election.ts";
import { keyString, objectKey, parseKey } from "../kube/objects.ts";
import { Reflector } from "../kube/reflector.ts";
import { WorkQueue } from "../kube/work-queue.ts";
import { runWorkers } from "../kube/workers.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import { SATELLITE_CLASSES, SATELLITES, type Phase } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { AwakeQuota } from "./awake-quota.ts";
import { ClassReconciler } from "./class-reconciler.ts";
import type { CollectorOptions } from "./collector.ts";
import { IdleTracker } from "./idle.ts";
import type { OperatorMetrics } from "./metrics.ts";
import type { OperatorOptions } from "./operator-options.ts";
import { machineCollector } from "./machine-collector.ts";
import { OwnSatellites, type WatchedSatellites } from "./own-satellites.ts";
import { Reconciler } from "./reconcile.ts";
import { SATELLITE_INDEXES } from "./satellite-indexes.ts";
import { Shard, WHOLE_CLUSTER, type Territory } from "./shard.ts";
import { Surveyor } from "./surveyor.ts";
import { knownCloud } from "./unknown-cloud.ts";
import { volumeCollector } from "./volume-collector.ts";

/** How long the last events may take to be sent when the process stops, in milliseconds. */
const EVENTS_CLOSE_MS = 2000;
/** Share of the lease that is kept in reserve, since clocks of two machines may differ in speed. */
const CLOCK_RESERVE = 0.1;
/**
 * Most writes of satellites at the same time: fewer than the client has connections. Of five hundred at once many would
 * time out while they wait for a connection.
 */
const WRITES_AT_ONCE = 12;
/** How long the work may take to end after the lead was lost: longer than any call to a cloud or the API server. */
const LAY_DOWN_MS = 60_000;
/** How old the last sign of life of a cache may be for the process to count as ready, in milliseconds. */
const STALE_CACHE_MS = 300_000;

/**
 * The operator: watches satellites and classes, and reconciles them while it leads. Followers keep their caches and the ages
 * of leases up to date, so that one of them can take over at once.
 */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #satellites: Reflector<Satellite>;
  readonly #classes: Reflector<SatelliteClass>;
  /** The namespaces that this operator acts in. */
  readonly #territory: Territory;
  /** The satellites that it acts on. All others count too: for quotas, and for whose machine one is. */
  readonly #own: WatchedSatellites;
  readonly #idle: IdleTracker;
  #surveyor: Surveyor;
  /** What this process does as the leader, until all of it has ended. */
  #work: Promise<void> = Promise.resolve();
  readonly #events: EventRecorder;
  readonly #elector: LeaderElector;
  readonly #metrics: OperatorMetrics;
  #queue: WorkQueue | undefined;
  #classQueue: WorkQueue | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { client, clock, random, logger, namespaceSelector } = options;
    this.#idle = new IdleTracker(clock);
    this.#satellites = new Reflector<Satellite>({
      client,
      type: SATELLITES,
      indexes: SATELLITE_INDEXES,
      clock,
      random,
      logger,
    });
    this.#classes = new Reflector<SatelliteClass>({ client, type: SATELLITE_CLASSES, clock, random, logger });
    this.#territory =
      namespaceSelector === undefined ? WHOLE_CLUSTER : new Shard({ ...options, namespaceSelector });
    this.#own = new OwnSatellites(this.#satellites.cache, this.#territory);
    this.#events = new EventRecorder({
      client,
      clock,
      random,
      logger,
      component: "satellites-operator",
      instance: options.leaderElection.identity,
    });
    this.#metrics = options.metrics(() => this.#phases());
    this.#elector = new LeaderElector({
      client,
      clock,
      random,
      logger,
      metrics: options.kubeMetrics,
      ...options.leaderElection,
      onStartedLeading: (signal) => {
        this.#work = this.#lead(signal);
        return this.#work;
      },
      onStoppedLeading: () => {},
    });
    this.#surveyor = this.#newSurveyor();
    this.#subscribe();
    const caches = { satellites: this.#satellites.cache, classes: this.#classes.cache };
    options.usage?.follow({ ...caches, satellites: this.#own, cloudOf: options.cloudOf });
    options.watchedBy?.(caches);
  }

  /** Whether the caches are filled and alive; readiness of the process. */
  ready(): boolean {
    return this.#caches().every((cache) => cache.ageMs() < STALE_CACHE_MS);
  }

  /** Whether this process leads now. */
  isLeader(): boolean {
    return this.#elector.isLeader();
  }

  /**
   * Whether a side effect may be sent now: this process leads, and will lead for as long as the call may take, and knows which
   * namespaces it acts in. The cloud asks again right before each call, since calls wait for their turn.
   */
  mayAct(): boolean {
    const leads = this.#elector.isLeader() && this.#elector.marginMs() >= this.#options.leaderMarginMs;
    return leads && this.#territory.isCurrent();
  }

  /**
   * Milliseconds that a change of a machine may take if it is sent now: what is left of the lease, minus a reserve for clocks
   * that run at different speeds. 0: it must not be sent ({@link mayAct}).
   */
  changeBudgetMs(): number {
    return this.mayAct() ? this.#elector.marginMs() * (1 - CLOCK_RESERVE) : 0;
  }

  /**
   * Runs until `signal` aborts ("released"). When the lead is lost, this process goes on as a follower, with its caches, and
   * leads again when it can; but if its work as the leader does not end, it must exit at once ("lost").
   */
  async run(signal: AbortSignal): Promise<LeadershipEnd> {
    const watching = new AbortController();
    const caches = this.#caches();
    const watches = caches.map((cache) => cache.run(watching.signal));
    try {
      await Promise.race([Promise.all(caches.map((cache) => cache.synced())), untilAborted(signal)]);
      let end = await this.#elector.run(signal);
      while (end === "lost" && (await this.#hasEnded())) {
        end = await this.#elector.run(signal);
      }
      return end;
    } finally {
      watching.abort();
      await Promise.allSettled(watches);
      await this.#events.close(EVENTS_CLOSE_MS);
    }
  }

  /**
   * Whether the work of a lead that was lost has ended. Before that this process must not lead again, since two steps for one
   * satellite could be under way.
   */
  async #hasEnded(): Promise<boolean> {
    const { clock, logger } = this.#options;
    const given = new AbortController();
    const work = this.#work.then(
      () => true,
      () => true,
    );
    const tooLong = sleep(clock, LAY_DOWN_MS, given.signal).then(
      () => false,
      () => false,
    );
    const hasEnded = await Promise.race([work, tooLong]);
    given.abort();
    if (hasEnded) {
      logger.warn("Laid down the lead; this operator follows, and leads again when it can");
    }
    return hasEnded;
  }

  #subscribe(): void {
    const noteUse = (satellite: Satellite): void =>
      this.#idle.observe(keyString(objectKey(satellite)), satellite);
    this.#satellites.cache.subscribe({
      added: (satellite) => {
        noteUse(satellite);
        this.#classQueue?.add(satellite.spec.className);
      },
      updated: noteUse,
      deleted: (satellite) => {
        this.#idle.forget(keyString(objectKey(satellite)));
        this.#surveyor.directory.noteGone(satellite);
        this.#classQueue?.add(satellite.spec.className);
      },
    });
    // What another operator has done in a namespace was not seen here.
    this.#territory.onChange(() => this.#clouds().forEach((cloud) => cloud.forget()));
    const changed = (satellite: Satellite): void =>
      this.#queue?.add(keyString(objectKey(satellite)), isAwaited(satellite) ? "high" : "normal");
    this.#own.subscribe({
      added: changed,
      updated: changed,
      deleted: (satellite) => this.#queue?.add(keyString(objectKey(satellite))),
    });
    const classChanged = ({ metadata: { name } }: SatelliteClass): void => {
      this.#classQueue?.add(name);
      this.#enqueueBy("class", name);
    };
    this.#classes.cache.subscribe({ added: classChanged, updated: classChanged, deleted: classChanged });
  }

  #enqueueBy(index: keyof typeof SATELLITE_INDEXES, value: string): void {
    for (const satellite of this.#satellites.cache.byIndex(index, value)) {
      this.#enqueue(keyString(objectKey(satellite)));
    }
  }

  /** Has a satellite looked at, where this operator acts on it. */
  #enqueue(key: string): void {
    if (this.#territory.owns(parseKey(key).namespace)) {
      this.#queue?.add(key);
    }
  }

  #caches(): readonly Pick<Territory, "ageMs" | "run" | "synced">[] {
    return [this.#satellites, this.#classes, this.#territory];
  }

  *#phases(): Iterable<Phase> {
    for (const { status } of this.#own.list()) {
      yield status.phase ?? "Pending";
    }
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { clock, random, logger, kubeMetrics, concurrency, listPeriodMs } = this.#options;
    const queue = new WorkQueue({
      name: "satellite",
      clock,
      random,
      metrics: kubeMetrics,
      workers: concurrency,
    });
    this.#forget();
    const reconciler = this.#reconciler();
    this.#queue = queue;
    for (const satellite of this.#own.list()) {
      queue.add(keyString(objectKey(satellite)), "low");
    }
    signal.addEventListener("abort", () => queue.shutDown(), { once: true });
    this.#options.usage?.begin();
    signal.addEventListener("abort", () => this.#options.usage?.end(), { once: true });
    const classWork = this.#territory.hasRest ? this.#leadClasses(signal) : undefined;
    const workers = runWorkers(queue, {
      concurrency,
      handler: async (key) => (signal.aborted ? undefined : reconciler.reconcile(key)),
      clock,
      logger,
      metrics: kubeMetrics,
    });
    const surveyor = this.#surveyor;
    const collector = machineCollector(this.#collectorOptions());
    const volumes = volumeCollector(this.#collectorOptions());
    while (!signal.aborted) {
      await surveyor.machines(collector).catch((error: unknown) => {
        logger.warn("The machines could not be surveyed; drift and orphans are noticed later", { error });
      });
      await surveyor.volumes(volumes).catch((error: unknown) => {
        logger.warn("Data volumes could not be surveyed; orphans are noticed later", { error });
      });
      await surveyor.events().catch((error: unknown) => {
        logger.warn("Scheduled events could not be read; machines are moved to other hosts later", { error });
      });
      await sleep(clock, listPeriodMs, signal).catch(() => undefined);
    }
    await Promise.all([workers, classWork]);
    this.#queue = undefined;
  }

  /** What was read before this process began to lead is out of date: another operator may have led meanwhile. */
  #forget(): void {
    this.#surveyor = this.#newSurveyor();
    for (const cloud of this.#clouds()) {
      cloud.forget();
    }
  }

  #newSurveyor(): Surveyor {
    return new Surveyor({
      ...this.#options,
      clouds: () => this.#clouds(),
      satellites: () => this.#satellites.cache.list(),
      machineChanged: (id) => this.#enqueueBy("machine", id),
      ownerChanged: (key) => this.#enqueue(key),
    });
  }

  async #leadClasses(signal: AbortSignal): Promise<void> {
    const { clock, random, logger, kubeMetrics, client, cloudOf, settings } = this.#options;
    const queue = new WorkQueue({ name: "satelliteclass", clock, random, metrics: kubeMetrics });
    this.#classQueue = queue;
    for (const { metadata } of this.#classes.cache.list()) {
      queue.add(metadata.name, "low");
    }
    signal.addEventListener("abort", () => queue.shutDown(), { once: true });
    const reconciler = new ClassReconciler({
      client,
      clock,
      logger,
      cloudOf,
      classes: this.#classes.cache,
      usersOf: (name) => this.#satellites.cache.byIndex("class", name),
      announce: (satelliteClass, announcement) => this.#events.record(satelliteClass, announcement),
      metrics: this.#metrics,
      assertLeading: () => this.#assertMayAct(),
      resyncMs: settings.resyncMs,
    });
    const handler = (name: string): ReturnType<ClassReconciler["reconcile"]> => reconciler.reconcile(name);
    await runWorkers(queue, { concurrency: 1, handler, clock, logger, metrics: kubeMetrics });
    this.#classQueue = undefined;
  }

  #collectorOptions(): CollectorOptions {
    return {
      ...this.#options,
      metrics: this.#metrics,
      judges: (namespace) => this.#territory.judges(namespace),
      assertLeading: () => this.#assertMayAct(),
      announce: (satellite, announcement) => this.#events.record(satellite, announcement),
    };
  }

  #reconciler(): Reconciler {
    const { cluster, client, clock, random, logger, settings, cloudOf, probe, userDataFor } = this.#options;
    const surveyor = this.#surveyor;
    return new Reconciler({
      cluster,
      client,
      satellites: this.#satellites.cache,
      writes: new Turns(WRITES_AT_ONCE),
      classes: this.#classes.cache,
      cloudOf,
      directory: surveyor.directory,
      hostEvents: surveyor.hostEvents,
      listMachines: async () => {
        await surveyor.listMachines();
      },
      idle: this.#idle,
      quota: this.#quota(),
      probe,
      userDataFor,
      owns: ({ metadata }) => this.#territory.owns(metadata.namespace),
      assertMayAct: ({ metadata }) => this.#assertMayAct(this.#territory.owns(metadata.namespace)),
      announce: (satellite, announcement) => this.#events.record(satellite, announcement),
      metrics: this.#metrics,
      clock,
      random,
      logger,
      settings,
    });
  }

  #quota(): AwakeQuota {
    const { cache } = this.#satellites;
    const { directory } = this.#surveyor;
    const finder = {
      naming: (id: string) => cache.byIndex("machine", id),
      get: (key: string) => cache.get(key),
    };
    return new AwakeQuota(
      this.#options.clock,
      (className) => cache.byIndex("contenders", className),
      (className) => directory.unnamed(className, finder),
    );
  }

  #assertMayAct(isOwn = true): void {
    if (!isOwn || !this.mayAct()) {
      throw new SatelliteError(
        "NotLeader",
        "this operator's lease, or its hold on the namespace, is not certain to last as long as the call; another may act soon",
      );
    }
  }

  /** The connection to each account and region that a class names. */
  #clouds(): ReadonlySet<MachineCloud> {
    const { cloudOf } = this.#options;
    return new Set(
      this.#classes.cache.list().flatMap((satelliteClass) => knownCloud(satelliteClass, cloudOf) ?? []),
    );
  }
}

/** Whether somebody may be waiting for it to be awake. */
function isAwaited({ spec, status }: Satellite): boolean {
  return spec.desiredPower === "on" && status.power.state !== "Running";
}
