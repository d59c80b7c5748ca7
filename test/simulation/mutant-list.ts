/** A bug, planted as a change of source text. */
export interface PlantedBug {
  readonly name: string;
  /** File below src/, what must stand in it exactly once, and what is put in its place. */
  readonly edits: readonly { readonly file: string; readonly from: string; readonly to: string }[];
}

/** One that some test files must catch, of which at least one then fails. */
export interface TestedMutant extends PlantedBug {
  readonly tests: readonly string[];
}

/** One that the simulation must catch. */
export interface Mutant extends PlantedBug {
  /** Where it is looked for first: a workload, and a part of the kind's name. */
  readonly workload: string;
  readonly kind: string;
}

const edit = (file: string, from: string, to: string): Mutant["edits"][number] => ({ file, from, to });

/**
 * Bugs that a hurried author could write, each against one rule of docs/power-protocol.md or docs/ec2.md.
 *
 * One is left out: a router that probes a VM whose start was not accepted. What answers it here is up for this epoch,
 * or was started before a stop that lands late, which is nobody's fault; test/router/gate.test.ts finds it.
 */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "launch: the token is made up at the call, not written first",
    edits: [
      edit(
        "operator/perform-launch.ts",
        ".launch(planOf(intent), userData)",
        ".launch({ ...planOf(intent), token: `t${Math.floor(dependencies.random() * 1e9)}` }, userData)",
      ),
    ],
    workload: "use-and-wake",
    kind: "crash",
  },
  {
    name: "stop: called without its written intent",
    edits: [
      edit(
        "operator/decide-running.ts",
        'if (observed.satellite.spec.desiredPower === "off") {\n    return beginStop(observed);',
        'if (observed.satellite.spec.desiredPower === "off") {\n    return { kind: "Stop", id: machine.id, hibernate: true, force: false };',
      ),
    ],
    workload: "use-and-wake",
    kind: "crash",
  },
  {
    name: "idle-off: written without its tests",
    edits: [
      edit(
        "satellite/power.ts",
        '    test("/metadata/generation", satellite.metadata.generation),\n    test("/status/activity", satellite.status.activity),\n    set("/spec/desiredPower", "off"),',
        '    set("/spec/desiredPower", "off"),',
      ),
    ],
    workload: "use-and-wake",
    kind: "notification",
  },
  {
    name: "stop intent: written without the tests of wish and activity",
    edits: [
      edit(
        "satellite/power.ts",
        'if (moves && next.state === "Stopping" && !UNCONDITIONAL_STOPS.has(reason)) {',
        "if (reason === UNCONDITIONAL_STOPS.toString()) {",
      ),
    ],
    workload: "use-and-wake",
    kind: "changes by people",
  },
  {
    name: "lease: written without its tests",
    edits: [
      edit(
        "satellite/power.ts",
        '    test("/spec/desiredPower", "on"),\n    test("/status/power/state", satellite.status.power.state),\n    test("/status/power/epoch", satellite.status.power.epoch),\n    set(`/status/activity',
        "    set(`/status/activity",
      ),
    ],
    workload: "use-and-wake",
    kind: "late",
  },
  {
    name: "idle clock: not restarted by a change of the spec or by waking",
    edits: [
      edit(
        "operator/idle.ts",
        "if (restartsIdleClock(track, satellite)) {",
        "if (track.uid === undefined && restartsIdleClock(track, satellite)) {",
      ),
    ],
    workload: "use-and-wake",
    kind: "crash",
  },
  {
    name: "idle clock: a new leader takes every lease for expired",
    edits: [
      edit(
        "operator/idle.ts",
        "return seenAtMs + lease.validSeconds * 1000;",
        "return seenAtMs + 0 * lease.validSeconds;",
      ),
    ],
    workload: "drain",
    kind: "crash",
  },
  {
    name: "start: sent while the machine is stopping",
    edits: [
      edit(
        "operator/decide-stopping.ts",
        '  if (machine.state === "stopped") {\n    return stopIsAnswered(observed)',
        '  if (machine.state === "stopped" || machine.state === "stopping") {\n    return stopIsAnswered(observed)',
      ),
      edit(
        "operator/decide-sleeping.ts",
        'switch (machine.state) {\n    case "stopped":',
        'switch (machine.state) {\n    case "stopping":\n    case "stopped":',
      ),
      edit(
        "operator/decide-sleeping.ts",
        '    case "stopping":\n    case "shutting-down":\n    case "terminated":',
        '    case "shutting-down":\n    case "terminated":',
      ),
      edit(
        "operator/decide-starting.ts",
        '  if (!power.accepted) {\n    return machine.state === "stopping"',
        '  if (!power.accepted) {\n    return machine.state === "shutting-down"',
      ),
    ],
    workload: "drain",
    kind: "crash",
  },
  {
    name: "queue: a wait is not followed by another look",
    edits: [
      edit(
        "operator/reconcile.ts",
        "return Number.isFinite(action.afterMs) ? { requeueAfterMs: action.afterMs } : undefined;",
        "return undefined;",
      ),
    ],
    workload: "use-and-wake",
    kind: "crash",
  },
  {
    name: "queue: a key added while it is worked on is forgotten",
    edits: [
      edit("kube/work-queue.ts", "this.#again.set(key, moreUrgent(this.#again.get(key), priority));", ""),
    ],
    workload: "use-and-wake",
    kind: "crash",
  },
  {
    name: "finalizer: never added",
    edits: [
      edit(
        "operator/decide.ts",
        "if (satellite.metadata.finalizers?.includes(FINALIZER) !== true) {",
        'if (satellite.metadata.finalizers?.includes("") === true) {',
      ),
    ],
    workload: "delete-launching",
    kind: "crash",
  },
  {
    name: "deletion: a launch of unknown outcome is not settled first",
    edits: [
      edit(
        "operator/decide-deletion.ts",
        "if (launchIsUnsettled(observed)) {",
        "if (launchIsUnsettled(observed) && observed.listed === undefined) {",
      ),
    ],
    workload: "delete-launching",
    kind: "crash",
  },
  {
    name: "deletion: the finalizer goes before the machine",
    edits: [
      edit(
        "operator/decide-deletion.ts",
        'if (machine.state === "terminated") {',
        'if (machine.state === "terminated" || machine.state === "stopped") {',
      ),
    ],
    workload: "delete-asleep",
    kind: "crash",
  },
  {
    name: "drain: not waited for",
    edits: [
      edit(
        "operator/stop-intent.ts",
        "return Math.max(0, untilMs - observed.now.getTime());",
        "return Math.min(0, untilMs - observed.now.getTime());",
      ),
    ],
    workload: "drain",
    kind: "crash",
  },
  {
    name: "router: admits without a lease",
    edits: [
      edit(
        "router/lease-keeper.ts",
        "      lease !== undefined &&\n      lease.epoch === epoch &&",
        "      lease === undefined ||\n      lease.epoch === epoch &&",
      ),
    ],
    workload: "use-and-wake",
    kind: "crash",
  },
  {
    name: "router: never renews its lease",
    edits: [
      edit(
        "router/lease-keeper.ts",
        "if (!this.#needsRenewal() || this.#closing) {",
        "if (!this.#needsRenewal() || this.#closing || this.#lease !== undefined) {",
      ),
    ],
    workload: "use-and-wake",
    kind: "nothing goes wrong",
  },
  {
    name: "reflector: a version that is too old is not followed by a listing",
    edits: [
      edit(
        "kube/reflector.ts",
        "if (expired || isRefusal(error) || this.#watchFailures >= MAX_WATCH_FAILURES) {",
        "if (this.#watchFailures >= 1e9) {",
      ),
    ],
    workload: "use-and-wake",
    kind: "notification",
  },
  {
    name: "errors: what was refused is tried again at once",
    edits: [
      edit(
        "operator/failures.ts",
        "return failure.retryAtMs > observed.nowMs\n",
        "return failure.retryAtMs > observed.nowMs + 1e12\n",
      ),
    ],
    workload: "use-and-wake",
    kind: "EC2",
  },
  {
    name: "leader: goes on after its lease has run out",
    edits: [
      edit(
        "kube/leader-election.ts",
        "return this.#leading && this.marginMs() > 0;",
        "return this.#leading;",
      ),
      edit(
        "operator/operator.ts",
        "const leads = this.#elector.isLeader() && this.#elector.marginMs() >= this.#options.leaderMarginMs;",
        "const leads = this.#elector.isLeader();",
      ),
      edit("kube/leader-election.ts", "        leftMs <= 0 ||\n", ""),
    ],
    workload: "use-and-wake",
    kind: "two leaders",
  },
  {
    name: "shards: a namespace that changes hands is taken up at once",
    edits: [
      edit(
        "operator/shard.ts",
        "updated: (namespace) => this.#look(namespace, HANDOVER_MS),",
        "updated: (namespace) => this.#look(namespace, 0),",
      ),
    ],
    workload: "two-shards",
    kind: "notification",
  },
  {
    name: "shards: an operator goes on that has long heard nothing of namespaces",
    edits: [edit("operator/shard.ts", "return this.ageMs() < STALE_MS;", "return true;")],
    workload: "two-shards",
    kind: "notification",
  },
  {
    name: "shards: each of them looks after classes",
    edits: [
      edit(
        "operator/operator.ts",
        "this.#territory.hasRest ? this.#leadClasses(signal) : undefined",
        "this.#leadClasses(signal)",
      ),
    ],
    workload: "two-shards",
    kind: "notification",
  },
  {
    name: "orphans: the collector ignores the cluster's tag",
    edits: [
      edit(
        "machines/ec2/instance-reads.ts",
        "Name: `tag:${Tag.cluster}`, Values: [this.#cluster]",
        'Name: "tag:Name", Values: ["*"]',
      ),
      edit(
        "operator/orphans.ts",
        "(machine) => isAlive(machine) && machine.tags[Tag.cluster] === facts.cluster,",
        "(machine) => isAlive(machine),",
      ),
    ],
    workload: "neighbours",
    kind: "nothing goes wrong",
  },
  {
    name: "orphans: machines of nobody are left",
    edits: [
      edit(
        "operator/orphans.ts",
        "return mayTakeIt ? undefined : {",
        'return mayTakeIt || uid !== "" ? undefined : {',
      ),
    ],
    workload: "neighbours",
    kind: "nothing goes wrong",
  },
  {
    name: "launch: the next type is tried while the outcome of the last is unknown",
    edits: [
      edit(
        "operator/decide-launch.ts",
        "return isOfThisPlan && isRefusal(failure.class) ? failure : undefined;",
        "return isOfThisPlan ? failure : undefined;",
      ),
    ],
    workload: "use-and-wake",
    kind: "lost",
  },
  {
    name: "launch: an instance that is not visible yet is taken for gone",
    edits: [
      edit(
        "operator/decide-launch.ts",
        "if (observed.machine === undefined && !isGone(observed, id, settings)) {",
        'if (observed.machine === undefined && id === "") {',
      ),
    ],
    workload: "use-and-wake",
    kind: "stale or missing",
  },
  {
    name: "hibernation: not refreshed before its sixty days are over",
    edits: [
      edit(
        "operator/decide-sleeping.ts",
        "if (asleepMs >= settings.refreshHibernatedMs) {",
        "if (asleepMs >= 9 * settings.refreshHibernatedMs) {",
      ),
    ],
    workload: "refresh",
    kind: "nothing goes wrong",
  },
  {
    name: "hibernation: a machine that was forced off is said to hibernate",
    edits: [
      edit(
        "operator/decide-stopping.ts",
        'if (power.sleepKind === "Hibernate") {\n    return giveUpHibernation(observed);',
        "if (power.sleepKind === undefined) {\n    return giveUpHibernation(observed);",
      ),
    ],
    workload: "use-and-wake",
    kind: "hibernation",
  },
  {
    name: "idle: the guest's running work does not count",
    edits: [
      edit(
        "operator/decide-running.ts",
        "if (last !== undefined && last.runningWork > 0 && busyMs < settings.guestBusyMaxMs) {",
        "if (last !== undefined && last.runningWork > 0 && busyMs < 0) {",
      ),
    ],
    workload: "busy-guest",
    kind: "nothing goes wrong",
  },
  {
    name: "adoption: the owner's tag is not asked for",
    edits: [
      edit(
        "operator/ownership.ts",
        "if (!isOffered(observed, adoptee)) {",
        'if (adoptee.tags[Tag.adoptableBy] === "") {',
      ),
    ],
    workload: "neighbours",
    kind: "nothing goes wrong",
  },
  {
    name: "adoption: the data volume is left out",
    edits: [
      edit(
        "operator/ownership.ts",
        "return isNamed || isOffered(observed, volume) ? { id, attempt: 0, zone } : undefined;",
        "return isNamed ? { id, attempt: 0, zone } : undefined;",
      ),
      edit(
        "operator/ownership.ts",
        "const unclaimed = [volume, adoptee].find(",
        "const unclaimed = [adoptee].find(",
      ),
    ],
    workload: "adopt",
    kind: "nothing goes wrong",
  },
  {
    name: "retain: a description of before the last start is believed",
    edits: [
      edit(
        "operator/decide-deletion.ts",
        "(isStopped || sinceMs >= settings.settleMs)",
        "(isStopped || sinceMs >= 0)",
      ),
    ],
    workload: "adopt",
    kind: "stale or missing",
  },
  {
    name: "retain: the machine is terminated all the same",
    edits: [
      edit(
        "operator/decide-deletion.ts",
        'const isKept = satellite.spec.deletionPolicy === "Retain";',
        'const isKept = satellite.spec.deletionPolicy === "Retain" && observed.memory.ownership.retained !== undefined;',
      ),
    ],
    workload: "adopt",
    kind: "nothing goes wrong",
  },
  {
    name: "absence: a machine that one read and one list lack is gone",
    edits: [
      edit(
        "operator/absence.ts",
        "nowMs - absence.sinceMs >= settings.missingMs &&\n    absence.reads >= READS &&\n    absence.lists >= LISTS &&",
        "absence.lists >= 1 &&",
      ),
    ],
    workload: "use-and-wake",
    kind: "a machine missing",
  },
  {
    name: "absence: lists that show a machine prove nothing",
    edits: [edit("operator/absence.ts", "    absence.lists >= LISTS &&\n", "")],
    workload: "use-and-wake",
    kind: "a machine missing",
  },
  {
    name: "absence: a satellite goes while its machine is not shown",
    edits: [
      edit(
        "operator/decide-deletion.ts",
        "return observed.memory.calls.terminated?.[id] !== undefined || isGone(observed, id, settings)",
        "return observed.nowMs >= settings.missingMs - 1e9",
      ),
    ],
    workload: "delete-asleep",
    kind: "a machine missing",
  },
  {
    name: "kept aside: what may have served before is terminated as a duplicate",
    edits: [
      edit(
        "operator/orphans.ts",
        "  if (marked === undefined) {\n    return [",
        '  if (satellite !== undefined) {\n    return [step("Terminate")];\n  }\n  if (marked === undefined) {\n    return [',
      ),
    ],
    workload: "use-and-wake",
    kind: "a machine missing",
  },
  {
    name: "limit: machines that run and that no satellite names do not count",
    edits: [
      edit(
        "operator/awake-quota.ts",
        "for (const { tags } of this.#unnamed(self.spec.className)) {",
        "for (const { tags } of [] as Tagged[]) {",
      ),
    ],
    workload: "passing-the-quota",
    kind: "nothing goes wrong",
  },
  {
    name: "limit: a machine that is left behind runs on",
    edits: [
      edit(
        "operator/decide-deletion.ts",
        "if (isKept && (mayRunOn(observed) ||",
        "if (isKept && (observed.nowMs > -1 ||",
      ),
    ],
    workload: "passing-the-quota",
    kind: "nothing goes wrong",
  },
  {
    name: "class: deleted while satellites use it",
    edits: [
      edit(
        "operator/class-reconciler.ts",
        "if (users.length === 0) {\n      return this.#patch(satelliteClass, removeFinalizer",
        "if (users.length < 1e9) {\n      return this.#patch(satelliteClass, removeFinalizer",
      ),
    ],
    workload: "reclass",
    kind: "nothing goes wrong",
  },
  {
    name: "router's end: its lease is left behind",
    edits: [
      edit(
        "router/lease-keeper.ts",
        "await this.#options.writes.run(() => this.#entry.remove(signal));",
        "await this.#options.writes.run(async () => {});",
      ),
    ],
    workload: "rollout",
    kind: "nothing goes wrong",
  },
  {
    name: "held requests: one namespace may keep all places",
    edits: [
      edit(
        "router/hold-budget.ts",
        "if (this.#taken >= this.#max && !this.#makeRoom(namespace)) {",
        "if (this.#taken >= this.#max) {",
      ),
    ],
    workload: "crowd",
    kind: "nothing goes wrong",
  },
  {
    name: "attempts: what is reported later does not count",
    edits: [
      edit(
        "operator/attempts.ts",
        "if (attempts === undefined || attempts.inputs !== inputsOf(observed)) {",
        "if (attempts === undefined || attempts.failed > 0) {",
      ),
    ],
    workload: "use-and-wake",
    kind: "fails later",
  },
  {
    name: "attempts: counted by the process alone, so that a restart begins anew",
    edits: [
      edit(
        "operator/attempts.ts",
        "const failed = (hasLasted(observed) ? 0 : (status.attempts?.failed ?? 0)) + 1;",
        "const failed = (observed.memory.port.probe === undefined ? 0 : (status.attempts?.failed ?? 0)) + 1;",
      ),
    ],
    workload: "use-and-wake",
    kind: "fails later",
  },
  {
    name: "attempts: nobody is told what EC2 says",
    edits: [
      edit(
        "operator/attempts.ts",
        'return attempts === undefined || power.state === "Running"\n    ? undefined',
        "return attempts === undefined || power.epoch > 0\n    ? undefined",
      ),
    ],
    workload: "use-and-wake",
    kind: "fails later",
  },
  {
    name: "errors: a refusal that is not in the table is taken for an unknown outcome",
    edits: [
      edit(
        "machines/ec2/to-cloud-error.ts",
        "return PATTERNS.find(([pattern]) => pattern.test(code))?.[1] ?? REFUSED;",
        "return PATTERNS.find(([pattern]) => pattern.test(code))?.[1] ?? SERVER;",
      ),
      edit(
        "operator/decide-search.ts",
        "if (known === undefined) {",
        "if (known === undefined || what.isUnknown) {",
      ),
      edit(
        "operator/decide-search.ts",
        "return what.isUnknown ? (waitingForRetry(observed, what.action) ?? { kind: what.action }) : undefined;",
        "return undefined;",
      ),
    ],
    workload: "delete-launching",
    kind: "EC2 refuses",
  },
  {
    name: "activity: entries are pruned only after this process has seen them for a day",
    edits: [edit("operator/idle.ts", "        endedMs > ROUTER_GONE_MS ||\n", "")],
    workload: "many-routers",
    kind: "nothing goes wrong",
  },
  {
    name: "activity: live entries are pruned among many",
    edits: [
      edit("operator/idle.ts", "(isCrowded && isOver && endedMs > CROWDED_GONE_MS)", "seen.lease.seq > 1"),
    ],
    workload: "burst",
    kind: "nothing goes wrong",
  },
  {
    name: "tags: the longest name does not fit",
    edits: [edit("machines/tags.ts", ".slice(0, MAX_TAG_VALUE)", "")],
    workload: "longest-name",
    kind: "nothing goes wrong",
  },
  {
    name: "status: what the schema refuses is taken for a stale write",
    edits: [
      edit(
        "operator/perform.ts",
        "if (isRejected(error)) {\n      throw new RejectedWrite(error);\n    }",
        "if (isRejected(error) && error.status === 0) {\n      throw new RejectedWrite(error);\n    }",
      ),
    ],
    workload: "old-schema",
    kind: "nothing goes wrong",
  },
  {
    name: "silence: nobody reads what the guest itself says",
    edits: [edit("operator/guest-words.ts", "silentMs < settings.lastWordsAfterMs", "silentMs < Infinity")],
    workload: "cannot-install",
    kind: "nothing goes wrong",
  },
  {
    name: "silence: the machine of a broken disk is not replaced, whatever the class says",
    edits: [edit("operator/recovery-policy.ts", "Restart: 2, Replace: 3", "Restart: 2, Replace: 2")],
    workload: "broken-disk",
    kind: "nothing goes wrong",
  },
];
