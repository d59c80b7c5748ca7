import type { Ec2Model } from "../../src/local/ec2/model.ts";
import type { InstanceState } from "../../src/local/ec2/instance.ts";
import { parseDurationMs } from "../../src/base/duration.ts";
import type { Lease, Power, PowerState } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { Tag } from "../../src/machines/tags.ts";
import { AttemptOracle } from "./attempt-oracle.ts";
import type { CloudCall } from "./cloud-wire.ts";
import type { SimClock } from "./sim-clock.ts";
import { CLUSTER } from "./sim-operator.ts";
import type { SimProcess } from "./sim-process.ts";
import type { OpenStream } from "./sim-router.ts";

/** What the oracles look at. */
export interface OracleContext {
  readonly clock: SimClock;
  readonly model: Ec2Model;
  readonly satellite: (key: string) => Satellite | undefined;
  /** Whether a satellite names this machine as its own. */
  readonly uses: (instance: string) => boolean;
  /** Work that the machine's guest says is running. */
  readonly runningWork: (instance: string) => number;
  /** Whether readers may be shown old news of instances, so that calls in good faith can be wrong. */
  readonly isStale: boolean;
  /** Whether requests may land after their sender has given up, or somebody else changes machines. */
  readonly isForeign: boolean;
  /** Whether somebody else changes the tags of a machine in use. */
  readonly isRetagged: boolean;
  /** Whether nothing goes wrong in this story. */
  readonly isUndisturbed: boolean;
  /** For how long all reads have lacked the machine, in milliseconds; 0 where they need not. */
  readonly missingMs: (instance: string) => number;
  /** How many of a class may be awake; Infinity where it has no limit. */
  readonly mostAwake: (className: string) => number;
  /** How long what nobody names is kept, in milliseconds. */
  readonly keptMs: number;
  /** Whether a process may be stopped for a while between a decision and what it does about it. */
  readonly pauses: (process: string) => boolean;
}

/** What the oracles remember of a satellite. */
interface Story {
  uid: string;
  power: Power;
  generation: number | undefined;
  activity: string;
  desiredPower: "on" | "off";
  /** Who last set desiredPower off: a process, or a person. */
  offBy: string;
  /** When an entry of activity, the spec or the entry to Running last restarted the idle clock. */
  busyAtMs: number;
  /** When routers were last told to drain; wall clock. */
  drainedSinceMs: number;
  /** When each router last wrote its entry. */
  readonly leasedAtMs: Map<string, number>;
}

/** The moves of docs/power-protocol.md, "States"; true where the epoch goes up. */
const MOVES: Readonly<Record<PowerState, Readonly<Partial<Record<PowerState, boolean>>>>> = {
  Off: { Starting: true, Stopping: false, Updating: false },
  Starting: { Starting: false, Running: false, Stopping: false, Off: false },
  Running: { Stopping: false, Off: false },
  Stopping: { Off: false },
  Updating: { Updating: false, Starting: true, Stopping: false, Off: false },
};

const IN_TRANSITION: ReadonlySet<InstanceState> = new Set(["pending", "stopping", "shutting-down"]);
/** Reasons of moves that nobody wished. */
const FORCED: ReadonlySet<string> = new Set(["Refresh", "Update", "ScheduledEvent", "Unreachable"]);
/** Reasons of stops that wait for the routers whoever wished them. */
const DRAINS: ReadonlySet<string> = new Set(["Deleting", "ScheduledEvent"]);
/** All reads must have lacked a machine for so long that it may count as gone. */
const PROOF_MS = 5 * 60_000;
/** Times in the status have whole seconds, and news travels. */
const SLACK_MS = 1100;

/**
 * The invariants of docs/power-protocol.md, checked at every write to the API server, at every call that reaches
 * EC2 and at every stream that is opened. They judge by the truth, which no process sees.
 */
export class Oracles {
  readonly violations: string[] = [];
  readonly #context: OracleContext;
  readonly #stories = new Map<string, Story>();
  /** State of each instance as a process last read it. */
  readonly #reads = new WeakMap<SimProcess, Map<string, InstanceState | undefined>>();
  readonly #before = new Map<string, InstanceState>();
  /** Starts that took effect, by instance and epoch. */
  readonly #starts = new Map<string, number>();
  readonly #streams = new Set<OpenStream>();
  readonly #attempts: AttemptOracle;
  /** Machines and volumes that a satellite has named as its own. */
  readonly #served = new Set<string>();
  /** Machines that counted as gone although they were there, since no read had shown them for long enough. */
  readonly #givenUp = new Set<string>();

  constructor(context: OracleContext) {
    this.#context = context;
    this.#attempts = new AttemptOracle(context.clock, (what) => this.violate(what));
  }

  /** Whether the story need not be told to its end. */
  get hasRunAway(): boolean {
    return this.#attempts.hasRunAway;
  }

  violate(what: string): void {
    this.violations.push(`${Math.round(this.#context.clock.elapsedMs)} ms: ${what}`);
  }

  /** A satellite was written, by a process or (undefined) by a person. */
  onWrite(key: string, before: Satellite | undefined, after: Satellite, author: string): void {
    const story = this.#storyOf(key, after);
    if (before?.metadata.uid === after.metadata.uid && before !== undefined) {
      this.#checkPower(key, story, before, after);
      this.#checkLoss(key, before, after);
    }
    for (const id of [after.status.machine?.id, after.status.volume?.id]) {
      this.#served.add(id ?? "");
    }
    this.#noteWish(key, story, after, author);
    this.#noteActivity(story, after);
    story.power = after.status.power;
  }

  onGone(key: string, { status }: Satellite): void {
    this.#stories.delete(key);
    this.#noteGivenUp(status.machine?.id);
  }

  /** A satellite lets go of its machine: because that has ended, another has replaced it, or no read has shown it for long. */
  #checkLoss(key: string, before: Satellite, { status }: Satellite): void {
    const id = before.status.machine?.id;
    if (id === undefined || id === status.machine?.id || id === status.retired?.id) {
      return;
    }
    const state = this.#stateOf(id);
    const hasEnded = state === undefined || state === "terminated" || state === "shutting-down";
    if (!hasEnded && !this.#noteGivenUp(id)) {
      this.violate(`7: ${key} gave up ${id}, which is ${state} and was not missing for long`);
    }
  }

  /** Returns whether there was a proof. */
  #noteGivenUp(id: string | undefined): boolean {
    const isProved = id !== undefined && this.#context.missingMs(id) >= PROOF_MS;
    if (isProved) {
      this.#givenUp.add(id);
    }
    return isProved;
  }

  /** What has ever served a satellite is destroyed for a reason that a person gave, or when it was kept for long. */
  #checkDestruction(call: CloudCall, id: string, tags: Readonly<Record<string, string>>): void {
    const marked = Date.parse(tags[Tag.orphanedAt] ?? "");
    const keptMs = this.#context.clock.now().getTime() - marked;
    const owner = this.#ownerByTags(tags);
    const isWished =
      owner?.metadata.deletionTimestamp !== undefined && owner.spec.deletionPolicy === "Delete";
    const isReplaced = owner?.status.retired?.id === id;
    const hasEnded = this.#stateOf(id) === "terminated" || this.#stateOf(id) === "shutting-down";
    if (this.#served.has(id) && !hasEnded && !(keptMs >= this.#context.keptMs) && !isWished && !isReplaced) {
      this.violate(`7: ${call.process.name} sent ${call.action} for ${id}, which has served a satellite`);
    }
  }

  /** A call has reached EC2 and is about to be carried out. */
  onCall(call: CloudCall): void {
    this.#noteAttempt(call, "sent");
    for (const id of call.ids) {
      const { volumes, instances } = this.#context.model;
      if (call.action === "DeleteVolume" && volumes.has(id)) {
        this.#checkDestruction(call, id, volumes.truth(id).tags);
      }
      if (call.action === "TerminateInstances" && instances.has(id)) {
        this.#checkDestruction(call, id, instances.truth(id).tags);
      }
      const state = this.#stateOf(id);
      if (state === undefined) {
        continue;
      }
      this.#before.set(id, state);
      this.#checkOwnership(call, id);
      if (call.action === "StartInstances" || (call.action === "StopInstances" && !call.force)) {
        this.#checkTransition(call, id, state);
      }
    }
  }

  #noteAttempt(call: CloudCall, outcome: "sent" | "accepted"): void {
    const started = call.action === "StartInstances" ? call.ids : [];
    const names = started.map((id) =>
      this.#stateOf(id) === undefined ? "nobody" : this.#context.model.instances.truth(id).tags[Tag.name],
    );
    for (const name of [...names, call.launchFor]) {
      if (name !== undefined) {
        this.#attempts.onCall(name, call.action, outcome);
      }
    }
  }

  /** Machines of others are not touched: only this cluster's, one that a satellite names, or one offered for adoption. */
  #checkOwnership(call: CloudCall, id: string): void {
    const { model, uses } = this.#context;
    const { tags } = model.instances.truth(id);
    const isOffered = tags[Tag.adoptableBy]?.startsWith(`${CLUSTER}/`) === true;
    if (call.isChange && tags[Tag.cluster] !== CLUSTER && !isOffered && !uses(id)) {
      this.violate(`1: ${call.process.name} sent ${call.action} for ${id}, which is somebody else's`);
    }
  }

  /** EC2 has carried a call out. */
  onAnswer(call: CloudCall, status: number): void {
    if (status === 200) {
      this.#noteAttempt(call, "accepted");
    }
    if (call.action === "DescribeInstances") {
      this.#noteRead(call);
      return;
    }
    for (const id of call.ids) {
      const before = this.#before.get(id);
      const now = this.#stateOf(id);
      if (before !== now && now !== undefined) {
        this.#checkEffect(call, id, now);
      }
    }
    if (call.action === "RunInstances" && status === 200) {
      this.#checkLaunches();
    }
    if ((call.action === "RunInstances" || call.action === "StartInstances") && status === 200) {
      this.#checkLimit();
    }
    if (call.action.endsWith("Volume") && status === 200) {
      this.#checkVolumes();
    }
    if (call.isChange) {
      const reads = this.#readsOf(call.process);
      for (const id of call.ids) {
        reads.delete(id);
      }
    }
  }

  onOpened(stream: OpenStream): void {
    this.#streams.add(stream);
    const { instance, upstream } = stream;
    const satellite = this.#context.satellite(upstream.satellite);
    const { tags, state } = this.#context.model.instances.truth(instance);
    if (satellite !== undefined && tags[Tag.uid] !== satellite.metadata.uid && !this.#context.isRetagged) {
      this.violate(`1: a stream to ${upstream.satellite} was opened to ${instance}, which is another's`);
    }
    if (satellite !== undefined) {
      this.#checkLease(stream, satellite);
    }
    const stopping = satellite?.status.power.state === "Stopping" && this.#drainHasEnded(satellite);
    if (state !== "running" && !stopping && !this.#context.isForeign && !this.#context.isStale) {
      this.violate(
        `3: a stream was admitted to ${instance} in epoch ${upstream.epoch} while it was ${state}`,
      );
    }
  }

  /** A stream is admitted under a lease that the API server has, and that has not run out. */
  #checkLease({ attempt, upstream }: OpenStream, { status }: Satellite): void {
    const router = attempt.router.name;
    const leasedAtMs = this.#stories.get(upstream.satellite)?.leasedAtMs.get(router) ?? -Infinity;
    const validMs = (status.activity[router]?.validSeconds ?? 0) * 1000;
    if (this.#context.clock.elapsedMs - leasedAtMs >= validMs && !this.#context.pauses(router)) {
      this.violate(`3: ${router} admitted a stream to ${upstream.satellite} without a lease`);
    }
  }

  onClosed(stream: OpenStream): void {
    this.#streams.delete(stream);
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Live instances by the UID that they are tagged with, but for those that are kept aside, or are about to be. */
  liveByOwner(): Map<string, string[]> {
    const owned = new Map<string, string[]>();
    for (const { id, state, tags } of this.#context.model.instances.truths()) {
      const uid = tags[Tag.uid] ?? "";
      const isAside = (tags[Tag.orphanedAt] ?? "") !== "" || this.#givenUp.has(id);
      if (
        !isAside &&
        state !== "terminated" &&
        state !== "shutting-down" &&
        tags[Tag.cluster] === CLUSTER &&
        uid !== ""
      ) {
        owned.set(uid, [...(owned.get(uid) ?? []), id]);
      }
    }
    return owned;
  }

  #storyOf(key: string, satellite: Satellite): Story {
    let story = this.#stories.get(key);
    if (story === undefined || story.uid !== satellite.metadata.uid) {
      story = {
        uid: satellite.metadata.uid ?? "",
        power: satellite.status.power,
        generation: undefined,
        activity: "",
        desiredPower: satellite.spec.desiredPower,
        offBy: "person",
        busyAtMs: this.#context.clock.elapsedMs,
        drainedSinceMs: Infinity,
        leasedAtMs: new Map(),
      };
      this.#stories.set(key, story);
    }
    return story;
  }

  #noteWish(key: string, story: Story, { spec, metadata, status }: Satellite, author: string): void {
    const nowMs = this.#context.clock.elapsedMs;
    if (story.desiredPower === "on" && spec.desiredPower === "off") {
      story.offBy = author;
      const idleMs = parseDurationMs(spec.idleTimeout);
      if (author.startsWith("operator") && (idleMs === 0 || nowMs - story.busyAtMs < idleMs - SLACK_MS)) {
        this.violate(
          `3: ${author} put ${key} to sleep after ${nowMs - story.busyAtMs} ms of idleness, not ${spec.idleTimeout}`,
        );
      }
      if (author.startsWith("operator") && this.#context.runningWork(status.machine?.id ?? "") > 0) {
        this.violate(`3: ${author} put ${key} to sleep although its guest says that it works`);
      }
    }
    if (spec.desiredPower === "on" && story.desiredPower === "off" && author.startsWith("router")) {
      if (spec.wakePolicy === "Manual") {
        this.violate(`5: ${author} woke ${key} although its wakePolicy is Manual`);
      }
    }
    const isScheduled = (spec.wakeSchedule ?? []).length > 0;
    if (
      story.desiredPower === "off" &&
      spec.desiredPower === "on" &&
      author.startsWith("operator") &&
      !isScheduled
    ) {
      this.violate(`${author} set desiredPower on`);
    }
    story.desiredPower = spec.desiredPower;
    if (story.generation !== metadata.generation) {
      story.generation = metadata.generation;
      story.busyAtMs = nowMs;
    }
  }

  #noteActivity(story: Story, { status }: Satellite): void {
    const nowMs = this.#context.clock.elapsedMs;
    const activity = JSON.stringify(status.activity);
    if (story.activity !== activity) {
      const before =
        story.activity === "" ? {} : (JSON.parse(story.activity) as Satellite["status"]["activity"]);
      for (const [router, lease] of Object.entries(status.activity)) {
        if (before[router]?.seq !== lease.seq) {
          this.#checkLeasable(router, lease, story, status.power);
          story.leasedAtMs.set(router, nowMs);
          story.busyAtMs = nowMs;
        }
      }
      story.activity = activity;
    }
    if (status.power.state === "Stopping" && status.power.reason !== "DesiredOff") {
      story.drainedSinceMs = Date.parse(status.power.since ?? "");
    }
    if (story.power.state !== "Running" && status.power.state === "Running") {
      story.busyAtMs = nowMs;
    }
  }

  /**
   * A lease and a stop are ordered by the API server: none is taken on what is being stopped for want of leases.
   * Counts that a router reported while it drained are no leases, and may come late.
   */
  #checkLeasable(router: string, lease: Lease, story: Story, { state, reason = "" }: Power): void {
    const ends = state === "Off" || (state === "Stopping" && reason !== "Draining" && !DRAINS.has(reason));
    const isReport = Date.parse(lease.time) >= story.drainedSinceMs;
    if (lease.openStreams > 0 && ends && !isReport) {
      this.violate(`3: ${router} took a lease while power was ${state} for ${reason}`);
    }
  }

  #checkPower(key: string, story: Story, before: Satellite, after: Satellite): void {
    const from = before.status.power;
    const to = after.status.power;
    if (JSON.stringify(from) === JSON.stringify(to)) {
      return;
    }
    const rises = MOVES[from.state][to.state];
    const isMove = from.state !== to.state;
    if (isMove && (rises === undefined || to.epoch !== from.epoch + (rises ? 1 : 0))) {
      this.violate(
        `2: power of ${key} moved from ${from.state}/${from.epoch} to ${to.state}/${to.epoch}, which is no move of the protocol`,
      );
    }
    if (!isMove && to.epoch !== from.epoch) {
      this.violate(`2: the epoch of ${key} changed within ${to.state}`);
    }
    const deleting = after.metadata.deletionTimestamp !== undefined;
    // A machine that does not answer is stopped and started, whatever is wished (docs/power-protocol.md, invariant 2).
    const forced = deleting || FORCED.has(to.reason ?? "");
    if (isMove && to.state === "Starting" && after.spec.desiredPower === "off" && !forced) {
      this.violate(`5: ${key} was started although desiredPower is off`);
    }
    if (isMove && to.state === "Stopping" && after.spec.desiredPower === "on" && !forced) {
      this.violate(`5: ${key} was stopped although desiredPower is on`);
    }
    this.#checkTruth(key, to, isMove, after);
    story.power = from;
  }

  /** Running, Off and accepted must be true of the machine. */
  #checkTruth(key: string, power: Power, isMove: boolean, { status }: Satellite): void {
    const { isStale, isForeign } = this.#context;
    const state = status.machine === undefined ? undefined : this.#stateOf(status.machine.id);
    if (!isMove || isStale || isForeign || state === undefined) {
      return;
    }
    if (power.state === "Running" && state !== "running") {
      this.violate(`2: power of ${key} says Running, but its machine is ${state}`);
    }
    if (power.state === "Off" && (state === "running" || state === "pending")) {
      this.violate(`2: power of ${key} says Off, but its machine is ${state}`);
    }
  }

  /** A start or stop was sent to a machine that is on its way: the sender must not have known. */
  #checkTransition(call: CloudCall, id: string, state: InstanceState): void {
    const { isStale, isForeign } = this.#context;
    const reads = this.#readsOf(call.process);
    const known = reads.has(id) ? reads.get(id) : state;
    if (
      IN_TRANSITION.has(state) &&
      known !== undefined &&
      IN_TRANSITION.has(known) &&
      !isForeign &&
      !isStale
    ) {
      this.violate(`2: ${call.process.name} sent ${call.action} to ${id} while it was ${state}`);
    }
  }

  #checkEffect(call: CloudCall, id: string, now: InstanceState): void {
    const owner = this.#ownerOf(id);
    const power = owner?.status.power;
    const { isForeign, model } = this.#context;
    const isNamed = owner !== undefined && machinesOf(owner).has(id);
    if (!isNamed && (model.instances.truth(id).tags[Tag.orphanedAt] ?? "") !== "") {
      // One that no satellite names, and that was marked first; #checkDestruction has checked the rest.
      return;
    }
    if (call.action === "TerminateInstances" && owner !== undefined && owner.status.machine?.id !== id) {
      // One that replaced the machine in use, or was replaced by it.
      return;
    }
    if (call.action === "StopInstances" && owner === undefined) {
      // Its satellite is gone. It is marked first, and stopped even where that failed: it costs money, and keeps all it has.
      return;
    }
    const intent = { StartInstances: "Starting", StopInstances: "Stopping", TerminateInstances: "Stopping" }[
      call.action
    ];
    if (intent !== undefined && power?.state !== intent && !isForeign) {
      this.violate(
        `2: ${call.action} of ${id} took effect without its written intent; power was ${power?.state ?? "gone"}`,
      );
    }
    if (call.action === "TerminateInstances" && power?.reason !== "Deleting" && !isForeign) {
      this.violate(`2: ${id} was terminated although its satellite is not being deleted`);
    }
    if (call.action === "StartInstances" && power !== undefined) {
      const start = `${id} in epoch ${power.epoch}`;
      const count = (this.#starts.get(start) ?? 0) + 1;
      this.#starts.set(start, count);
      if (count > 1 && !isForeign) {
        this.violate(`4: ${start} was started ${count} times`);
      }
    }
    if (now === "stopping" || now === "shutting-down") {
      this.#checkStreams(call, id, owner);
    }
  }

  /** Invariant 3: no stop under a stream whose lease is renewed, unless a person asked and the drain has ended. */
  #checkStreams(call: CloudCall, id: string, owner: Satellite | undefined): void {
    if (owner === undefined || this.#context.isForeign) {
      return;
    }
    const key = `${owner.metadata.namespace ?? ""}/${owner.metadata.name}`;
    const story = this.#stories.get(key);
    const { power, activity } = owner.status;
    const byPerson = story?.offBy === "person" || DRAINS.has(power.reason ?? "");
    if (byPerson && this.#drainHasEnded(owner)) {
      return;
    }
    for (const { instance, attempt } of this.#streams) {
      const router = attempt.router.name;
      const sinceMs = this.#context.clock.elapsedMs - (story?.leasedAtMs.get(router) ?? -Infinity);
      // A router that nothing befalls renews its leases; where something does, they may run out under a stream.
      const isKept = this.#context.isUndisturbed || sinceMs < (activity[router]?.validSeconds ?? 0) * 1000;
      if (instance === id && isKept && attempt.router.isRunning) {
        this.violate(
          `3: ${call.action} of ${id} for ${power.reason ?? "no reason"} under a stream of ${router}, whose lease was written ${sinceMs} ms before`,
        );
      }
    }
  }

  #drainHasEnded({ spec, status: { power } }: Satellite): boolean {
    const sinceMs = this.#context.clock.now().getTime() - Date.parse(power.since ?? "");
    return sinceMs >= parseDurationMs(spec.drainTimeout) - SLACK_MS;
  }

  /** Data volumes by the UID that they are tagged with. */
  volumesByOwner(): Map<string, string[]> {
    const owned = new Map<string, string[]>();
    for (const { id, tags } of this.#context.model.volumes.truths()) {
      const uid = tags[Tag.uid] ?? "";
      if (uid !== "") {
        owned.set(uid, [...(owned.get(uid) ?? []), id]);
      }
    }
    return owned;
  }

  /** A volume is on a machine that its satellite knows, or leaves one that it does not, and is the only one. */
  #checkVolumes(): void {
    if (this.#context.isForeign) {
      return;
    }
    for (const [uid, ids] of this.volumesByOwner()) {
      if (ids.length > 1) {
        this.violate(`1: ${uid} has ${ids.length} data volumes: ${ids.join(", ")}`);
      }
    }
    for (const { id, attachment } of this.#context.model.volumes.truths()) {
      const owner = attachment === undefined ? undefined : this.#ownerOf(attachment.instance);
      if (attachment === undefined || owner === undefined || attachment.state === "detaching") {
        continue;
      }
      if (!machinesOf(owner).has(attachment.instance)) {
        this.violate(`1: ${id} is on ${attachment.instance}, which its satellite does not know`);
      }
    }
  }

  #checkLaunches(): void {
    for (const [uid, ids] of this.liveByOwner()) {
      const owner = this.#ownerOf(ids[0] ?? "");
      const isReplaced = owner?.status.replacement !== undefined || owner?.status.retired !== undefined;
      if (ids.length > (isReplaced ? 2 : 1) && !this.#context.isForeign) {
        this.violate(`1: ${uid} has ${ids.length} live instances: ${ids.join(", ")}`);
      }
    }
  }

  /** Machines that run count against the limit of their class, whoever names them. */
  #checkLimit(): void {
    const running = new Map<string, string[]>();
    for (const { id, state, tags } of this.#context.model.instances.truths()) {
      // One that no read shows cannot be counted, and after minutes counts as gone.
      const isSeen = this.#context.missingMs(id) === 0;
      if (isSeen && (state === "running" || state === "pending")) {
        const className = tags[Tag.class] ?? "";
        running.set(className, [...(running.get(className) ?? []), id]);
      }
    }
    for (const [className, ids] of running) {
      const most = this.#context.mostAwake(className);
      if (ids.length > most && !this.#context.isForeign) {
        this.violate(`8: ${ids.join(", ")} run of class ${className}, where ${most} may be awake`);
      }
    }
  }

  #noteRead({ process, ids }: CloudCall): void {
    const reads = this.#readsOf(process);
    const visible = this.#context.model.instances.visible();
    for (const { id, state } of visible) {
      if (ids.length === 0 || ids.includes(id)) {
        reads.set(id, state);
      }
    }
  }

  #readsOf(process: SimProcess): Map<string, InstanceState | undefined> {
    let reads = this.#reads.get(process);
    if (reads === undefined) {
      reads = new Map();
      this.#reads.set(process, reads);
    }
    return reads;
  }

  #stateOf(id: string): InstanceState | undefined {
    const { instances } = this.#context.model;
    return instances.has(id) ? instances.truth(id).state : undefined;
  }

  /** The satellite that an instance is tagged with, if it still exists under that UID. */
  #ownerOf(id: string): Satellite | undefined {
    return this.#ownerByTags(this.#context.model.instances.truth(id).tags);
  }

  #ownerByTags(tags: Readonly<Record<string, string>>): Satellite | undefined {
    const key = `${tags[Tag.namespace] ?? ""}/${tags[Tag.name] ?? ""}`;
    const satellite = this.#context.satellite(key);
    return satellite?.metadata.uid === tags[Tag.uid] ? satellite : undefined;
  }
}

/** Every machine that a satellite names. */
function machinesOf({ status }: Satellite): ReadonlySet<string> {
  const named = [status.machine, status.replacement?.machine, status.retired];
  return new Set(named.flatMap((machine) => (machine === undefined ? [] : [machine.id])));
}
