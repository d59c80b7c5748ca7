import {
  CreateTagsCommand,
  ModifyInstanceAttributeCommand,
  RebootInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import type { Registry } from "@prometheus-io/client";
import type { Random } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type {
  ClassFacts,
  ClassInspection,
  ClassSpec,
  GuestWords,
  LaunchPlan,
  LaunchRequest,
  Machine,
  MachineCloud,
  MachineEvent,
  ResolvedLaunch,
  Volume,
  VolumePlan,
} from "../cloud.ts";
import { CloudError } from "../errors.ts";
import { createAwsClients, type AwsClientOptions, type AwsClients } from "./aws-clients.ts";
import { Batcher, DEFAULT_WINDOW, type BatchWindow } from "./batcher.ts";
import { blamedIds, isDivisible } from "./blame.ts";
import { Catalogue } from "./catalogue.ts";
import { inspectClass } from "./class-inspection.ts";
import { hasDataVolume, rootVolumeGiB } from "./class-spec.ts";
import { readLastWords } from "./console.ts";
import { Ec2Calls, type Call } from "./ec2-calls.ts";
import type { LimitedAction } from "./limits.ts";
import { rootVolumeGiBOf } from "./launch-details.ts";
import { InstanceReads } from "./instance-reads.ts";
import { Launches } from "./launches.ts";
import { MachineSnapshot } from "./machine-snapshot.ts";
import { readEvents } from "./machine-events.ts";
import { createEc2Metrics, type Ec2Metrics } from "./metrics.ts";
import { resolveLaunch, type PlanContext } from "./launch-plan.ts";
import { Rehearsal } from "./rehearsal.ts";
import { suitableTypes } from "./suitable-types.ts";
import { Ec2Volumes, VOLUME_NOT_FOUND } from "./volumes.ts";
import { toTagList } from "./tags.ts";
import { EC2_WORDS, isInstanceID } from "./words.ts";
import type { ActionLimit, Priority } from "./token-bucket.ts";

/** What a connection to EC2 is made of. */
export interface Ec2CloudOptions extends AwsClientOptions {
  /** UID of the cluster's kube-system namespace; only machines with this tag are listed. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Replaces some of EC2's documented request limits. */
  readonly limits?: Partial<Record<LimitedAction, ActionLimit>>;
  /** When batches are sent; default: `DEFAULT_WINDOW` for reads, longer for changes that keep coming. */
  readonly window?: BatchWindow;
  /** Milliseconds that a change may take, asked right before each one is sent; 0 stops it. Default: no limit. */
  readonly changeBudgetMs?: () => number;
}

/** `MachineCloud` over connections that can be closed. */
export interface Ec2Cloud extends MachineCloud {
  /** Closes all connections. */
  close(): void;
}

/**
 * Changes are gathered for longer while they keep coming: a start takes many seconds anyway, and StartInstances allows five
 * requests at once and two a second. So a thousand wakes that arrive one by one need a dozen requests, and a single wake does
 * not wait.
 */
const CHANGE_WINDOW: BatchWindow = { idleMs: 100, maxMs: 2_000, maxItems: 500, growth: 16 };
/** Nobody waits for these. A filter takes 200 values (EC2 API reference, "DescribeInstances"). */
const LOOK_UP_WINDOW: BatchWindow = { idleMs: 500, maxMs: 2_000, maxItems: 200, growth: 4 };

/** Creates the `MachineCloud` of EC2 for one region and role. Nothing is sent yet. */
export function createEc2Cloud(options: Ec2CloudOptions): Ec2Cloud {
  return new BatchingEc2Cloud(options);
}

/** One of the calls that name many instances. */
interface BatchedCall {
  readonly action: LimitedAction;
  readonly priority: Priority;
  readonly send: (ids: string[], signal: AbortSignal) => Promise<unknown>;
}

class BatchingEc2Cloud implements Ec2Cloud {
  readonly words = EC2_WORDS;
  readonly #options: Ec2CloudOptions;
  readonly #clients: AwsClients;
  readonly #calls: Ec2Calls;
  readonly #metrics: Ec2Metrics;
  readonly #catalogue: Catalogue;
  readonly #snapshot: MachineSnapshot;
  readonly #reads: InstanceReads;
  readonly #launches: Launches;
  readonly #context: PlanContext;
  readonly #rehearsal: Rehearsal;
  readonly #start: Batcher<void>;
  readonly #stops: Readonly<Record<"stop" | "force" | "hibernate", Batcher<void>>>;
  readonly #terminate: Batcher<void>;
  readonly #describe: Batcher<Machine | undefined>;
  readonly #lookUps: Batcher<Machine | undefined>;
  readonly #volumes: Ec2Volumes;
  readonly #describeVolume: Batcher<Volume | undefined>;

  constructor(options: Ec2CloudOptions) {
    this.#options = options;
    this.#clients = createAwsClients(options);
    this.#metrics = createEc2Metrics(options.registry);
    this.#calls = new Ec2Calls({
      ...options,
      metrics: this.#metrics,
      refreshCredentials: () => this.#clients.refreshCredentials(),
    });
    this.#catalogue = new Catalogue(this.#clients, this.#calls, options.clock);
    this.#snapshot = new MachineSnapshot(options.clock);
    this.#reads = new InstanceReads(this.#clients, this.#calls, this.#snapshot, options.cluster);
    this.#launches = new Launches({
      clients: this.#clients,
      calls: this.#calls,
      catalogue: this.#catalogue,
      reads: this.#reads,
      snapshot: this.#snapshot,
    });
    this.#context = options;
    this.#rehearsal = new Rehearsal({
      clients: this.#clients,
      calls: this.#calls,
      catalogue: this.#catalogue,
      context: options,
      clock: options.clock,
      anyMachine: () => this.#snapshot.any(),
    });
    const { wake, sleep, housekeeping } = this.#clients;
    this.#start = this.#batchChanges({
      action: "StartInstances",
      priority: "wake",
      send: (InstanceIds, abortSignal) =>
        wake.send(new StartInstancesCommand({ InstanceIds }), { abortSignal }),
    });
    const stops = (how: { readonly Hibernate?: true; readonly Force?: true }): Batcher<void> =>
      this.#batchChanges({
        action: "StopInstances",
        priority: "sleep",
        send: (InstanceIds, abortSignal) =>
          sleep.send(new StopInstancesCommand({ InstanceIds, ...how }), { abortSignal }),
      });
    this.#stops = { stop: stops({}), force: stops({ Force: true }), hibernate: stops({ Hibernate: true }) };
    this.#terminate = this.#batchChanges({
      action: "TerminateInstances",
      priority: "housekeeping",
      send: (InstanceIds, abortSignal) =>
        housekeeping.send(new TerminateInstancesCommand({ InstanceIds }), { abortSignal }),
    });
    this.#volumes = new Ec2Volumes(this.#clients, this.#calls, options.cluster);
    const window = options.window ?? DEFAULT_WINDOW;
    this.#describeVolume = this.#batch("DescribeVolumes", "wake", window, (ids) =>
      this.#volumes.describe(ids),
    );
    this.#describe = this.#batch("DescribeInstances", "wake", window, (ids) => this.#reads.describe(ids));
    this.#lookUps = this.#batch("DescribeInstancesFiltered", "housekeeping", LOOK_UP_WINDOW, (ids) =>
      this.#reads.lookUp(ids),
    );
  }

  isMachineID(text: string): boolean {
    return isInstanceID(text);
  }

  hasDataVolume(classSpec: ClassSpec): boolean {
    return hasDataVolume(classSpec);
  }

  diskGiB(classSpec: ClassSpec, details: LaunchPlan["details"] | undefined): number {
    return rootVolumeGiBOf(details) ?? rootVolumeGiB(classSpec);
  }

  resolve(request: LaunchRequest): Promise<ResolvedLaunch> {
    return resolveLaunch(request, this.#catalogue, this.#context);
  }

  async inspect(inspection: ClassInspection): Promise<ClassFacts> {
    const facts = await inspectClass(inspection, this.#catalogue, this.#context);
    await this.#rehearsal.check(inspection, facts);
    return facts;
  }

  launch(plan: LaunchPlan, userData: string): Promise<Machine> {
    return this.#launches.launch(plan, userData);
  }

  findLaunched(plan: LaunchPlan): Promise<Machine | undefined> {
    return this.#launches.find(plan);
  }

  start(id: string): Promise<void> {
    return this.#changing(id, this.#start);
  }

  stop(id: string, options: { readonly hibernate: boolean; readonly force: boolean }): Promise<void> {
    // A stop by force cannot keep the memory, so `force` wins over `hibernate`.
    const unforced = options.hibernate ? "hibernate" : "stop";
    return this.#changing(id, this.#stops[options.force ? "force" : unforced]);
  }

  terminate(id: string): Promise<void> {
    return this.#changing(id, this.#terminate);
  }

  tag(id: string, tags: Readonly<Record<string, string>>): Promise<void> {
    const command = new CreateTagsCommand({ Resources: [id], Tags: toTagList(tags) });
    return this.#changeOne(id, "CreateTags", "housekeeping", (abortSignal) =>
      this.#clients.housekeeping.send(command, { abortSignal }),
    );
  }

  async describe(id: string, maxAgeMs: number): Promise<Machine | undefined> {
    const seen = this.#snapshot.get(id, maxAgeMs);
    if (seen !== undefined) {
      return seen.machine;
    }
    return unlessGone(this.#describe.submit(id, maxAgeMs));
  }

  lookUp(id: string): Promise<Machine | undefined> {
    return this.#lookUps.submit(id);
  }

  createVolume(plan: VolumePlan): Promise<Volume> {
    return this.#volumes.create(plan);
  }

  findVolume(plan: VolumePlan): Promise<Volume | undefined> {
    return this.#volumes.findCreated(plan);
  }

  async describeVolume(id: string): Promise<Volume | undefined> {
    return unlessGone(this.#describeVolume.submit(id, 0), VOLUME_NOT_FOUND);
  }

  async attachVolume(id: string, machine: string): Promise<void> {
    await this.#volumes.attach(id, machine).finally(() => this.#snapshot.changed(machine));
  }

  async detachVolume(id: string, machine: string): Promise<void> {
    await this.#volumes.detach(id, machine).finally(() => this.#snapshot.changed(machine));
  }

  deleteVolume(id: string): Promise<void> {
    return this.#volumes.delete(id);
  }

  listVolumes(): Promise<Volume[]> {
    return this.#volumes.list();
  }

  list(): Promise<Machine[]> {
    return this.#reads.list();
  }

  forget(): void {
    this.#snapshot.clear();
  }

  events(): Promise<MachineEvent[]> {
    return readEvents(this.#clients, this.#calls);
  }

  lastWords(id: string): Promise<GuestWords | undefined> {
    return unlessGone(readLastWords(this.#clients, this.#calls, id));
  }

  reboot(id: string): Promise<void> {
    const command = new RebootInstancesCommand({ InstanceIds: [id] });
    return this.#changeOne(id, "RebootInstances", "wake", (abortSignal) =>
      this.#clients.housekeeping.send(command, { abortSignal }),
    );
  }

  changeType(id: string, type: string): Promise<void> {
    const command = new ModifyInstanceAttributeCommand({ InstanceId: id, InstanceType: { Value: type } });
    return this.#changeOne(id, "ModifyInstanceAttribute", "wake", (abortSignal) =>
      this.#clients.housekeeping.send(command, { abortSignal }),
    );
  }

  async suitableTypes(wanted: Parameters<MachineCloud["suitableTypes"]>[0]): Promise<string[]> {
    const types = await suitableTypes(wanted, this.#catalogue);
    return types.filter(({ zones }) => zones.has(wanted.zone)).map(({ name }) => name);
  }

  close(): void {
    this.#clients.destroy();
  }

  /** Submits a change; what was read of the machine before or meanwhile is forgotten. */
  async #changing(id: string, batcher: Batcher<void>): Promise<void> {
    try {
      await batcher.submit(id);
    } finally {
      this.#snapshot.changed(id);
    }
  }

  /** Changes one machine or volume by a call of its own; what was read of it before is forgotten. */
  async #changeOne(
    id: string,
    action: LimitedAction,
    priority: Priority,
    send: Call<unknown>["send"],
  ): Promise<void> {
    const tenant = this.#snapshot.tenantOf(id);
    await this.#calls.call({ action, bucket: action, kind: "change", priority, tenant, send });
    this.#snapshot.changed(id);
  }

  #batchChanges({ action, priority, send }: BatchedCall): Batcher<void> {
    const window = this.#options.window ?? CHANGE_WINDOW;
    return this.#batch(action, priority, window, async (ids) => {
      await this.#calls.callWithToken({
        action,
        bucket: action,
        kind: "change",
        priority,
        send: (signal) => send([...ids], signal),
      });
      return new Map<string, void>();
    });
  }

  #batch<Result>(
    action: LimitedAction,
    priority: Priority,
    window: BatchWindow,
    send: (ids: readonly string[]) => Promise<ReadonlyMap<string, Result>>,
  ): Batcher<Result | undefined> {
    return new Batcher<Result | undefined>({
      clock: this.#options.clock,
      window,
      acquire: (wanted, tenant) => this.#calls.acquire(action, priority, wanted, tenant),
      tenantOf: (id) => this.#snapshot.tenantOf(id),
      send: (ids) => {
        this.#metrics.batchSize.observe({ action }, ids.length);
        return send(ids);
      },
      absent: () => undefined,
      blamed: blamedIds,
      isDivisible,
    });
  }
}

/**
 * Turns "not found" into `undefined`.
 *
 * @param code the only code that counts as that; default: every one of class `gone`
 */
async function unlessGone<T>(read: Promise<T | undefined>, code?: string): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof CloudError && error.class === "gone" && error.code === (code ?? error.code)) {
      return undefined;
    }
    throw error;
  }
}
