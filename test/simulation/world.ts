import { join } from "node:path";
import { sleep } from "../../src/base/clock.ts";
import { createKubeClientOver } from "../../src/kube/http-client.ts";
import type { Lease } from "../../src/kube/resources.ts";
import type { ApiResponse } from "../../src/local/kubernetes/api-request.ts";
import { createApiServer, type ApiServer } from "../../src/local/kubernetes/api-server.ts";
import { readCrdFile } from "../../src/local/kubernetes/crd.ts";
import { createEc2Endpoint, type Ec2Endpoint } from "../../src/local/ec2/endpoint.ts";
import type { LaunchParameters } from "../../src/local/ec2/launch-check.ts";
import { Ec2Model } from "../../src/local/ec2/model.ts";
import type { ActionLimit } from "../../src/local/ec2/request-buckets.ts";
import { defaultNetwork } from "../../src/local/ec2/network.ts";
import { Tag } from "../../src/machines/tags.ts";
import { DATA_DEVICE } from "../../src/machines/ec2/volumes.ts";
import { defaultSettings, type OperatorSettings } from "../../src/operator/settings.ts";
import { HANDOVER_MS } from "../../src/operator/shard.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { silentLogger, type LogFields, type Logger } from "../../src/telemetry/logger.ts";
import { ApiWire, toApiRequest, TOKEN } from "./api-wire.ts";
import { cloudWire } from "./cloud-wire.ts";
import { Courier } from "./courier.ts";
import { FaultBook } from "./fault-book.ts";
import { Guests } from "./guests.ts";
import { Oracles } from "./oracles.ts";
import type { EffectFault, Outside, Plan, TimedFault } from "./plan.ts";
import { seededRandom } from "./random.ts";
import { SilenceOracle } from "./silence-oracle.ts";
import { SimClock } from "./sim-clock.ts";
import { LEASE_NAME, REGION, runOperator, type SimShard } from "./sim-operator.ts";
import { SimProcess } from "./sim-process.ts";
import { SimRouter, type Attempt, type Ending } from "./sim-router.ts";
import { Territories } from "./territories.ts";
import { Trace } from "./trace.ts";

const CRD_FOLDER = join(import.meta.dirname, "..", "..", "crds");
const CRDS = ["satelliteclasses", "satellites"].map((name) =>
  readCrdFile(join(CRD_FOLDER, `${name}.satellites.dev.yaml`)),
);
const SATELLITES = "satellites.dev/satellites";
const CLASSES = "satellites.dev/satelliteclasses";
const LEASES = "coordination.k8s.io/leases";
/** A leader renews its lease more often. */
const LEADS_MS = 15_000;
const API = "/apis/satellites.dev/v1alpha1";

/** How long a process takes to come back after it ended. */
const RESTART_MS = 1000;
/** How long a rewound view lags behind. */
const REWIND_LAG_MS = 8000;
/** How long a router that ends may take; then it is killed. */
const ROUTER_END_MS = 30_000;
/** Between a client's attempts. */
const RETRY_MS = 1000;
/** How long a client tries. */
const CLIENT_PATIENCE_MS = 45 * 60_000;

/** Times short enough that stories are, and long enough that every order of events can happen. */
const SETTINGS: OperatorSettings = { ...defaultSettings, probePollMs: 250, transitionPollMs: 600 };
const VM_SCRIPT = {
  launchMs: 3000,
  startMs: 2500,
  resumeMs: 1500,
  stopMs: 2500,
  hibernateMs: 3500,
  terminateMs: 2000,
};
const VOLUME_SCRIPT = { createMs: 700, attachMs: 900, detachMs: 800 };
/** An operator starts this long after the one before. */
const FOLLOWS_MS = 500;
const GUEST_SCRIPT = { bootMs: 1500, resumeMs: 300 };
const LIST_PERIOD_MS = 60_000;
/** Between looks at what satellites say of themselves. */
const LISTEN_MS = 5000;

/** A machine as others launch it. */
/** How long somebody else waits for a machine or a volume. */
const OUTSIDE_PATIENCE_MS = 60_000;
const OUTSIDE_LAUNCH: Omit<LaunchParameters, "subnet" | "tags"> = {
  image: "ami-0077000000000000a",
  type: "m7i.large",
  securityGroups: ["sg-0077000000000000a"],
  userData: "",
  hibernationConfigured: true,
  metadataOptions: { httpTokens: "required", hopLimit: 1 },
  shutdownBehavior: "stop",
  disableApiTermination: false,
  disableApiStop: false,
  requestHash: "outside",
  volume: { deviceName: "/dev/xvda", sizeGiB: 20, type: "gp3", encrypted: true, deleteOnTermination: true },
  volumeTags: {},
};

/** What a world is made of, beside its plan. */
export interface WorldOptions {
  readonly routers: number;
  /** Times of the operator that are other than in most stories. */
  readonly settings?: Partial<OperatorSettings>;
  /** Between the operator's complete lists of machines; default a minute. */
  readonly listPeriodMs?: number;
  /** How long EC2 keeps a hibernated machine's memory; default 60 days. */
  readonly hibernationKeptMs?: number;
  /** EC2's request limits; default none. */
  readonly limits?: Readonly<Record<string, ActionLimit>>;
  /** Subnets, where the default ones have too few addresses. */
  readonly subnets?: readonly [string, string];
  /** Requests that a router holds; default as in the product. */
  readonly maxHeld?: number;
  /** Operators that share the cluster; the first one acts in namespaces without labels. Default: one for all. */
  readonly shards?: readonly SimShard[];
  /** Writes what the processes log into the trace. */
  readonly logs?: boolean;
}

/** A call by a client, over all its attempts. */
export interface ClientCall {
  readonly endings: Ending[];
  isDone: boolean;
}

/**
 * Everything in one process, under one clock and one seed: the embedded API server, the EC2 endpoint with guests
 * in virtual VMs, operators, routers and their clients. What happens is decided by the plan alone, so the same
 * plan is the same story, event by event.
 */
export class World {
  readonly clock = new SimClock();
  readonly trace = new Trace();
  readonly book: FaultBook;
  readonly api: ApiServer;
  readonly model: Ec2Model;
  readonly endpoint: Ec2Endpoint;
  readonly guests: Guests;
  readonly oracles: Oracles;
  /** Whether nothing goes wrong in this story. */
  readonly isUndisturbed: boolean;
  readonly #options: WorldOptions;
  readonly #random: () => number;
  readonly #courier: Courier;
  readonly #logger: Logger;
  readonly #routers = new Map<string, SimRouter>();
  readonly #processes = new Map<string, SimProcess>();
  readonly #incarnations = new Map<string, number>();
  readonly #attempts = new Set<Attempt>();
  #nextAttempt = 0;
  #instanceChanges = 0;
  readonly #missingSinceMs = new Map<string, number>();
  /** Whose each namespace is, and was. */
  readonly territories: Territories;
  /** The longest time for which news of the plan may be late. */
  readonly #deafMs: number;
  #author: SimProcess | undefined;
  #starting = 0;
  #failure: unknown;
  /** Namespace of each satellite that was created here, by name. */
  readonly everNamed = new Map<string, string>();
  /** When what was marked happened, in milliseconds. */
  readonly moments = new Map<string, number>();
  /** Field that the API server's schema refuses at the moment, as a JSON pointer. */
  rejectedField: string | undefined;
  /** Work that a guest says is running, by the scripts of workloads. */
  runningWork: (instance: string) => number = () => 0;

  constructor(plan: Plan, options: WorldOptions) {
    this.#options = options;
    this.isUndisturbed = plan.faults.length === 0;
    this.territories = new Territories(options.shards?.map(({ namespaceSelector }) => namespaceSelector));
    this.#random = seededRandom(plan.seed);
    this.book = new FaultBook(plan);
    this.#logger = options.logs === true ? this.#tracingLogger("log") : silentLogger;
    const { clock } = this;
    const base = { clock, random: this.#random, logger: this.#logger };
    this.api = createApiServer({
      ...base,
      crds: CRDS,
      users: [{ name: "simulated", groups: ["system:masters"], token: TOKEN }],
    });
    this.guests = new Guests(clock, this.#vmScript(), this.#guestScript());
    const visibilityDelayMs = this.#visibility();
    this.model = new Ec2Model({
      ...base,
      region: REGION,
      hypervisor: this.guests,
      visibilityDelayMs,
      volumeScript: VOLUME_SCRIPT,
      volumeDelayMs: visibilityDelayMs,
      hibernationReadyAfterMs: this.book.guest("not-ready")[0]?.forMs ?? 0,
      ...(options.hibernationKeptMs === undefined ? {} : { hibernationKeptMs: options.hibernationKeptMs }),
      ...(options.subnets === undefined ? {} : { network: defaultNetwork(REGION, options.subnets) }),
    });
    this.endpoint = createEc2Endpoint({
      ...base,
      model: this.model,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    this.oracles = new Oracles({
      clock,
      model: this.model,
      satellite: (key) => this.satellite(key),
      uses: (id) => this.satellites().some(({ status }) => status.machine?.id === id),
      runningWork: (id) => this.runningWork(id),
      isStale: plan.faults.some((fault) => fault.on === "visibility" || isAbsence(fault)),
      missingMs: (id) => {
        const { instances } = this.model;
        const sinceMs = this.#missingSinceMs.get(id);
        const isMissing = (["lists", "descriptions"] as const).every((from) => instances.isHidden(id, from));
        return isMissing && sinceMs !== undefined ? clock.elapsedMs - sinceMs : 0;
      },
      mostAwake: (name) => this.satelliteClass(name)?.spec.maxAwake?.total ?? Infinity,
      keptMs: options.settings?.orphanKeptMs ?? SETTINGS.orphanKeptMs,
      isForeign: plan.faults.some(isForeign),
      isRetagged: plan.faults.some(
        (fault) => fault.on === "time" && "outside" in fault.what && fault.what.outside === "retag",
      ),
      isUndisturbed: this.isUndisturbed,
      pauses: (process) => plan.faults.some((fault) => isPause(fault, process)),
    });
    this.#courier = new Courier({
      ...base,
      book: this.book,
      trace: this.trace,
      crash: (process, fault) => this.#crash(process, fault),
    });
    this.#watch();
    this.#listen();
    this.#boot("operator-0");
    // The first leads, so that what befalls it in a plan befalls the leader.
    this.#deafMs = Math.max(
      0,
      ...plan.faults.map((fault) => (fault.on === "notification" ? (fault.forMs ?? 0) : 0)),
    );
    const operators = (plan.operators ?? 1) * (options.shards?.length ?? 1);
    for (let index = 1; index < operators; index++) {
      clock.setTimer(index * FOLLOWS_MS, () => this.#boot(`operator-${index}`));
    }
    for (let index = 0; index < options.routers; index++) {
      this.#boot(`router-${index}`);
    }
    this.book.all("time").forEach((fault) => this.#schedule(fault));
  }

  // --- what workloads do -----------------------------------------------------------------------------------------

  /** Lets the story go on while `script` runs. */
  async tell(script: () => Promise<void>, untilMs: number): Promise<void> {
    const progress = { done: false };
    script().then(
      () => (progress.done = true),
      (error: unknown) => {
        this.#failure = error;
        progress.done = true;
      },
    );
    await this.clock.run(untilMs, () => progress.done || this.oracles.hasRunAway);
    if (this.clock.isLooping) {
      this.oracles.violate("something loops without letting time pass");
    }
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }

  sleep(durationMs: number): Promise<void> {
    return sleep(this.clock, durationMs);
  }

  /** Waits until `isSo`, looking twice a second. Resolves with whether it came to be in time. */
  async until(isSo: () => boolean, timeoutMs: number): Promise<boolean> {
    const endMs = this.clock.elapsedMs + timeoutMs;
    while (!isSo()) {
      if (this.clock.elapsedMs >= endMs) {
        return false;
      }
      await this.sleep(500);
    }
    return true;
  }

  /** The satellite as the API server has it. */
  satellite(key: string): Satellite | undefined {
    return this.api.store.get(SATELLITES, key)?.object as Satellite | undefined;
  }

  satelliteClass(name: string): SatelliteClass | undefined {
    return this.api.store.get(CLASSES, name)?.object as SatelliteClass | undefined;
  }

  satellites(): Satellite[] {
    return this.api.store.list(SATELLITES) as unknown as Satellite[];
  }

  /** What a person does with kubectl. Throws nothing: a refusal is an answer. */
  kubectl(method: "POST" | "PATCH" | "DELETE", path: string, body?: unknown): ApiResponse {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const response = this.api.handle(
      toApiRequest({
        method,
        path: `${API}/${path}`,
        ...(body === undefined ? {} : { body: JSON.stringify(body), contentType: type }),
      }),
    );
    this.trace.note(
      this.clock.elapsedMs,
      "person",
      "kubectl",
      `${method} ${path} ${JSON.stringify(body ?? {})} ${response.status}`,
    );
    return response;
  }

  createClass(
    name: string,
    spec: Readonly<Record<string, unknown>> = {},
    ec2: Readonly<Record<string, unknown>> = {},
  ): void {
    this.#expectCreated(
      this.kubectl("POST", "satelliteclasses", {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "SatelliteClass",
        metadata: { name },
        spec: {
          ec2: {
            region: REGION,
            image: { nameFilter: "satellites/demo/*" },
            subnets: { tags: { "satellites.dev/network": "local" } },
            securityGroups: { tags: { "satellites.dev/network": "local" } },
            rootVolume: { sizeGiB: 10, type: "gp3" },
            ...ec2,
          },
          sizes: { small: { types: ["m7i.large", "m7a.large"] } },
          defaultSize: "small",
          guest: { kind: "image" },
          ...spec,
        },
      }),
    );
  }

  createNamespace(name: string, labels: Readonly<Record<string, string>> = {}): void {
    const body = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
    const path = "/api/v1/namespaces";
    const request = toApiRequest({ method: "POST", path, body, contentType: "application/json" });
    this.territories.note(name, labels, this.clock.elapsedMs);
    this.#expectCreated(this.api.handle(request));
  }

  /** What a person does to the one label of a namespace. */
  labelNamespace(name: string, label: string, value: string | null): void {
    const body = JSON.stringify({ metadata: { labels: { [label]: value } } });
    const path = `/api/v1/namespaces/${name}`;
    const contentType = "application/merge-patch+json";
    const { status } = this.api.handle(toApiRequest({ method: "PATCH", path, body, contentType }));
    this.trace.note(this.clock.elapsedMs, "person", "kubectl", `label ${name} ${label}=${value} ${status}`);
    this.territories.note(name, value === null ? {} : { [label]: value }, this.clock.elapsedMs);
  }

  createSatellite(
    name: string,
    spec: Readonly<Record<string, unknown>>,
    annotations: Readonly<Record<string, string>> = {},
    namespace = "default",
  ): void {
    this.everNamed.set(name, namespace);
    this.#expectCreated(
      this.kubectl("POST", `namespaces/${namespace}/satellites`, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata: { name, annotations },
        spec,
      }),
    );
  }

  /** Notes a moment of the story, for those who measure it. */
  mark(moment: string): void {
    this.moments.set(moment, this.clock.elapsedMs);
  }

  /** Ends a router in order and for good, as when another one takes its place in a rollout. */
  async endRouter(name: string): Promise<void> {
    const router = this.#routers.get(name);
    const process = this.#processes.get(name);
    if (router === undefined || process === undefined) {
      throw new Error(`there is no router ${name}`);
    }
    this.#routers.delete(name);
    this.trace.note(this.clock.elapsedMs, "process", name, "ends in order");
    let hasEnded = false;
    void router.end().then(() => {
      hasEnded = true;
      return hasEnded;
    });
    await this.until(() => hasEnded || process.isDead, ROUTER_END_MS);
    // One that crashed meanwhile comes back, as a container does.
    if (!process.isDead) {
      this.#processes.delete(name);
      this.#kill(process);
    }
  }

  /** Launches a machine that no satellite asked for, with these tags. */
  launchOutside(tags: Readonly<Record<string, string>>): string {
    return this.model.run({ ...OUTSIDE_LAUNCH, subnet: this.model.network.subnets[0]?.id ?? "", tags }).id;
  }

  /** Attaches a volume to a machine that no satellite asked for, where data volumes are. Both bear the tags that they are given. */
  async attachOutside(instance: string, tags: Readonly<Record<string, string>>): Promise<string> {
    const { instances, volumes } = this.model;
    const { zone } = instances.truth(instance);
    const { id } = volumes.create({
      requestHash: "outside",
      zone,
      sizeGiB: 20,
      type: "gp3",
      encrypted: true,
      tags,
    });
    await this.until(
      () =>
        volumes.visible().some((volume) => volume.id === id && volume.state === "available") &&
        instances.visible().some((machine) => machine.id === instance && machine.state === "running"),
      OUTSIDE_PATIENCE_MS,
    );
    await volumes.attach(id, instance, DATA_DEVICE);
    await this.until(
      () => volumes.visible().some((volume) => volume.id === id && volume.attachment?.state === "attached"),
      OUTSIDE_PATIENCE_MS,
    );
    return id;
  }

  /** A client's call: at one router after the other, until it was served or `isWorthwhile` says no. */
  call(
    key: string,
    options: { readonly router: number; readonly streamMs: number; readonly timeoutMs?: number },
  ): ClientCall {
    const call: ClientCall = { endings: [], isDone: false };
    void this.#callUntilServed(key, options, call);
    return call;
  }

  // --- what the end is judged by -----------------------------------------------------------------------------------

  /** Requests that routers have not answered. */
  get openAttempts(): readonly Attempt[] {
    return [...this.#attempts];
  }

  /** How often processes were started beyond the first time. */
  get restarts(): number {
    return [...this.#incarnations.values()].reduce((sum, count) => sum + count, 0);
  }

  /** How often an instance changed. */
  get instanceChanges(): number {
    return this.#instanceChanges;
  }

  /** Whether every process is up, and nothing is being started. */
  get isComplete(): boolean {
    return this.#starting === 0 && [...this.#processes.values()].every((process) => process.isRunning);
  }

  // --- processes ---------------------------------------------------------------------------------------------------

  #boot(name: string, fault?: EffectFault): void {
    const incarnation = this.#incarnations.has(name) ? (this.#incarnations.get(name) ?? 0) + 1 : 0;
    this.#incarnations.set(name, incarnation);
    const process = new SimProcess(name, incarnation, this.clock);
    this.#processes.set(name, process);
    this.trace.note(this.clock.elapsedMs, "process", name, `starts, incarnation ${incarnation}`);
    const logger = this.#logger === silentLogger ? silentLogger : this.#tracingLogger(name);
    const wire = new ApiWire({
      api: this.api,
      courier: this.#courier,
      process,
      clock: this.clock,
      random: this.#random,
      book: this.book,
      trace: this.trace,
      rejects: () => this.rejectedField,
      onRequest: (author) => {
        this.#author = author;
      },
      ...(fault?.rewind === undefined
        ? {}
        : {
            rewind: {
              revision: Math.max(1, this.api.store.revision - fault.rewind),
              untilMs: this.clock.elapsedMs + REWIND_LAG_MS,
            },
          }),
    });
    const client = createKubeClientOver(wire, {
      clock: process.clock,
      random: this.#random,
      logger,
      fieldManager: name.startsWith("operator") ? "satellites-operator" : "satellites-router",
    });
    const common = { process, client, guests: this.guests, random: this.#random, logger };
    if (name.startsWith("router")) {
      this.#routers.set(
        name,
        new SimRouter({
          ...common,
          ...(this.#options.maxHeld === undefined ? {} : { maxHeld: this.#options.maxHeld }),
          onOpened: (stream) => this.oracles.onOpened(stream),
          onClosed: (stream) => this.oracles.onClosed(stream),
        }),
      );
      return;
    }
    const { shards } = this.#options;
    const shard = shards?.[this.territories.shardOf(name) ?? 0];
    runOperator({
      ...common,
      ...(shard === undefined ? {} : { shard }),
      identity: fault?.sameIdentity === true ? name : `${name}-${incarnation}`,
      settings: { ...SETTINGS, ...this.#options.settings },
      listPeriodMs: this.#options.listPeriodMs ?? LIST_PERIOD_MS,
      transport: cloudWire({
        endpoint: this.endpoint,
        courier: this.#courier,
        process,
        book: this.book,
        onCall: (call) => this.oracles.onCall(call),
        onAnswer: (call, status) => this.oracles.onAnswer(call, status),
      }),
      runningWork: (instance) => this.runningWork(instance),
      onExit: (how) => {
        this.trace.note(this.clock.elapsedMs, "process", name, `exits: ${how}`);
        this.#kill(process);
        this.#bootLater(name);
      },
    });
  }

  #crash(process: SimProcess, fault?: EffectFault): void {
    if (process.isDead) {
      return;
    }
    this.trace.note(this.clock.elapsedMs, "process", process.name, "is killed");
    this.#kill(process);
    this.#bootLater(process.name, fault);
  }

  #kill(process: SimProcess): void {
    process.kill();
    for (const attempt of this.#attempts) {
      if (attempt.router === process) {
        attempt.end({ kind: "lost" });
      }
    }
  }

  #bootLater(name: string, fault?: EffectFault): void {
    this.#starting++;
    this.clock.setTimer(RESTART_MS, () => {
      this.#starting--;
      this.#boot(name, fault);
    });
  }

  // --- clients -------------------------------------------------------------------------------------------------------

  async #callUntilServed(
    key: string,
    options: { readonly router: number; readonly streamMs: number; readonly timeoutMs?: number },
    call: ClientCall,
  ): Promise<void> {
    const endMs = this.clock.elapsedMs + CLIENT_PATIENCE_MS;
    for (let count = 0; this.clock.elapsedMs < endMs; count++) {
      const ending = await this.#attempt(key, options, count);
      call.endings.push(ending);
      if (ending.kind === "served" || (ending.kind === "refused" && isFinal(ending.status))) {
        break;
      }
      await this.sleep(RETRY_MS * Math.min(30, count + 1));
    }
    call.isDone = true;
  }

  #attempt(
    key: string,
    {
      router,
      streamMs,
      timeoutMs,
    }: { readonly router: number; readonly streamMs: number; readonly timeoutMs?: number },
    count: number,
  ): Promise<Ending> {
    const names = [...this.#routers.keys()];
    const target = this.#routers.get(names[(router + count) % names.length] ?? "");
    if (target === undefined || target.process.isDead) {
      return Promise.resolve({ kind: "lost" });
    }
    return new Promise((resolve) => {
      const id = this.#nextAttempt++;
      const attempt: Attempt = {
        id,
        router: target.process,
        key,
        startedMs: this.clock.elapsedMs,
        timeoutMs,
        streamMs,
        end: (ending) => {
          if (this.#attempts.delete(attempt)) {
            const words =
              ending.kind === "refused" ? `refused ${ending.status} ${ending.reason}` : ending.kind;
            this.trace.note(this.clock.elapsedMs, "request", target.process.name, `${id} ${words}`);
            if (ending.kind === "refused" && ending.reason === "") {
              this.oracles.violate(`5: request ${id} was refused without a reason`);
            }
            resolve(ending);
          }
        },
      };
      this.#attempts.add(attempt);
      this.trace.note(this.clock.elapsedMs, "request", target.process.name, `${id} for ${key}`);
      target.take(attempt);
    });
  }

  // --- faults of the world -------------------------------------------------------------------------------------------

  #vmScript(): ConstructorParameters<typeof Guests>[1] {
    const nth = (what: "cold" | "hangs" | "boot-fails"): (() => boolean) => {
      let count = 0;
      const indexes = new Set(this.book.guest(what).map(({ index }) => index ?? 0));
      return () => {
        const befalls = indexes.has(count++);
        if (befalls) {
          this.book.note();
        }
        return befalls;
      };
    };
    const bootFails = nth("boot-fails");
    return {
      ...VM_SCRIPT,
      hibernationFails: nth("cold"),
      stopHangs: nth("hangs"),
      bootFails: () => (bootFails() ? new Error("the host failed") : undefined),
    };
  }

  #guestScript(): typeof GUEST_SCRIPT {
    const slowMs = this.book.guest("slow")[0]?.forMs;
    if (slowMs === undefined) {
      return { ...GUEST_SCRIPT };
    }
    const befall = (): number => {
      this.book.note();
      return slowMs;
    };
    return {
      get bootMs() {
        return befall();
      },
      get resumeMs() {
        return befall();
      },
    };
  }

  #visibility(): () => number {
    const delays = new Map(this.book.all("visibility").map(({ change, forMs }) => [change, forMs]));
    let change = 0;
    return () => {
      this.#instanceChanges++;
      return delays.get(change++) ?? 0;
    };
  }

  #schedule(fault: TimedFault): void {
    this.clock.setTimer(fault.atMs, () => {
      this.book.note();
      this.#bringAbout(fault.what);
    });
  }

  #bringAbout(what: TimedFault["what"]): void {
    if ("patch" in what) {
      this.kubectl("PATCH", "namespaces/default/satellites/ada", what.patch);
    } else if ("crash" in what) {
      const process = this.#processes.get(what.crash);
      if (process !== undefined) {
        this.#crash(process);
      }
    } else if ("pause" in what) {
      const process = this.#processes.get(what.pause);
      process?.pause();
      this.clock.setTimer(what.forMs, () => process?.resume());
    } else if ("request" in what) {
      this.call(what.request, { router: 0, streamMs: 500 });
    } else if ("capacity" in what) {
      for (const zone of ["a", "b"]) {
        for (const type of ["m7i.large", "m7a.large"]) {
          this.model.capacity.setPool(`${REGION}${zone}`, type, what.capacity ?? undefined);
        }
      }
    } else if ("missing" in what) {
      this.#hide(what);
    } else {
      this.#changeOutside(what.outside);
    }
  }

  #hide({ missing, forMs }: Extract<TimedFault["what"], { missing: unknown }>): void {
    const { machine } = this.satellite("default/ada")?.status ?? {};
    this.trace.note(
      this.clock.elapsedMs,
      "guest",
      "outside",
      `missing from ${missing}: ${machine?.id ?? ""}`,
    );
    if (machine !== undefined && this.model.instances.has(machine.id)) {
      this.model.instances.hide(machine.id, missing, forMs);
      this.#missingSinceMs.set(machine.id, this.clock.elapsedMs);
    }
  }

  /** Somebody changes the machine at EC2, where its state allows it. */
  #changeOutside(what: Outside): void {
    const id = this.satellite("default/ada")?.status.machine?.id;
    const state =
      id === undefined || !this.model.instances.has(id) ? undefined : this.model.instances.truth(id).state;
    this.trace.note(this.clock.elapsedMs, "guest", "outside", `${what} ${id ?? ""} ${state ?? ""}`);
    if (id === undefined) {
      return;
    }
    if (what === "stop" && state === "running") {
      this.model.stop([id], { hibernate: false, force: false });
    } else if (what === "start" && state === "stopped") {
      this.model.start([id]);
    } else if (what === "terminate" && state !== "terminated" && state !== "shutting-down") {
      this.model.terminate([id]);
    } else if (state !== undefined && state !== "terminated") {
      this.#markOutside(id, what);
    }
  }

  #markOutside(id: string, what: Outside): void {
    if (what === "retag") {
      this.model.tag([id], { [Tag.cluster]: "another-cluster", [Tag.uid]: "another-uid" });
    } else if (what === "protect" || what === "unprotect") {
      const isProtected = what === "protect";
      this.model.protect(id, { disableApiStop: isProtected, disableApiTermination: isProtected });
    }
  }

  // --- what is watched -----------------------------------------------------------------------------------------------

  /** Looks now and then whether those that are not as wished say why. */
  #listen(): void {
    const oracle = new SilenceOracle((what) => this.oracles.violate(what));
    const look = (): void => {
      const heard = this.satellites().filter(({ metadata }) => this.#someoneLeads(metadata.namespace ?? ""));
      oracle.look(heard, this.clock.elapsedMs);
      this.clock.setTimer(LISTEN_MS, look);
    };
    this.clock.setTimer(LISTEN_MS, look);
  }

  /** Whether an operator of a namespace has renewed its lease lately, and has had the namespace for long enough: others say nothing. */
  #someoneLeads(namespace: string): boolean {
    const nowMs = this.clock.elapsedMs;
    if (nowMs - this.territories.sinceMs(namespace) < HANDOVER_MS + this.#deafMs) {
      return false;
    }
    const { lease: name } = this.#options.shards?.[this.territories.ownerAt(namespace, nowMs)] ?? {
      lease: LEASE_NAME,
    };
    const lease = this.api.store.get(LEASES, `default/${name}`)?.object as Lease | undefined;
    const { holderIdentity, renewTime } = lease?.spec ?? {};
    const isHeld = holderIdentity !== undefined && holderIdentity !== "";
    return isHeld && this.clock.now().getTime() - Date.parse(renewTime ?? "") < LEADS_MS;
  }

  #watch(): void {
    this.guests.onChange = (id, isUp) => {
      this.trace.note(this.clock.elapsedMs, "guest", id, isUp ? "answers" : "is gone");
      for (const router of this.#routers.values()) {
        router.onGuestChange(id, isUp);
      }
    };
    this.api.store.onChange(({ collection, key, type, object, previous }) => {
      if (collection !== SATELLITES) {
        return;
      }
      if (type === "DELETED") {
        this.oracles.onGone(key, previous as unknown as Satellite);
        return;
      }
      this.oracles.onWrite(
        key,
        previous as Satellite | undefined,
        object as unknown as Satellite,
        this.#author?.name ?? "person",
      );
    });
  }

  #expectCreated({ status, body }: ApiResponse): void {
    if (status !== 201) {
      throw new Error(`the workload's object was refused: ${typeof body === "string" ? body : status}`);
    }
  }

  #tracingLogger(process: string): Logger {
    const write =
      (level: string) =>
      (message: string, fields: LogFields = {}): void => {
        const rest = JSON.stringify(fields, (_name, value: unknown) =>
          value instanceof Error ? value.message : value,
        );
        this.trace.note(this.clock.elapsedMs, "process", process, `${level} ${message} ${rest}`);
      };
    const logger: Logger = {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: () => logger,
    };
    return logger;
  }
}

/** Statuses after which a client does not try again. */
function isFinal(status: number): boolean {
  return status !== 14 && status !== 4 && status !== 8 && status !== 9;
}

function isAbsence(fault: Plan["faults"][number]): boolean {
  return fault.on === "time" && "missing" in fault.what;
}

function isPause(fault: Plan["faults"][number], process: string): boolean {
  return (
    (fault.on === "effect" && fault.what === "pause" && fault.process === process) ||
    (fault.on === "time" && "pause" in fault.what && fault.what.pause === process)
  );
}

/** Faults after which a call may land whose time is over, or by which others change machines. */
function isForeign(fault: Plan["faults"][number]): boolean {
  switch (fault.on) {
    case "effect":
      return fault.process.startsWith("operator") && (fault.what === "late" || fault.what === "pause");
    case "time":
      return typeof fault.what === "object" && ("outside" in fault.what || "pause" in fault.what);
    case "notification":
    case "cloud":
    case "visibility":
    case "guest":
      return false;
  }
}
