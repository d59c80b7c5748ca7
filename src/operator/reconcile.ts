import { backoffMs } from "../base/backoff.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import type { WorkResult } from "../kube/workers.ts";
import type { Satellite } from "../satellite/types.ts";
import { isPaused, type PowerState } from "../satellite/resource.ts";
import { statusPatch } from "../satellite/status-patch.ts";
import { decide } from "./decide.ts";
import type { Action } from "./action.ts";
import { isSaid } from "./conditions/table.ts";
import type { Dependencies } from "./dependencies.ts";
import { failureOf, inputsOf, OBSERVE } from "./failures.ts";
import { observe, observeBlindly } from "./observe.ts";
import { disownStart } from "./memory/accepted-calls.ts";
import { noteBlindness, noteFailure, noteRejection, noteWorked, type Failure } from "./memory/failures.ts";
import { newMemory, type Memory } from "./memory/memory.ts";
import { noteSilentPorts } from "./memory/port.ts";
import type { Observation } from "./observation.ts";
import { perform } from "./perform.ts";
import { SilentPorts } from "./silent-ports.ts";
import { rejectedStatus, RejectedWrite, rejectionOf } from "./rejected-write.ts";
import { renderStatus } from "./render-status.ts";

interface RememberedSatellite {
  readonly uid: string | undefined;
  readonly memory: Memory;
  staleWrites: number;
}

const STALE_BACKOFF = { baseMs: 5, maxMs: 5000 };
const AGAIN_AT_ONCE: WorkResult = { requeueAfterMs: 0 };

/** Actions that change nothing outside this process; all others need the leader's lease. */
const HARMLESS: ReadonlySet<Action["kind"]> = new Set<Action["kind"]>([
  "Wait",
  "Probe",
  "ProbeReplacement",
  "ReadLastWords",
  "ListMachines",
  "FindLaunched",
  "FindVolume",
]);

/** Power states in which a VM's port is looked at. */
const MAY_ANSWER: ReadonlySet<PowerState> = new Set<PowerState>(["Starting", "Running"]);

/**
 * Brings one satellite a step nearer to its spec each time it is called: observe, decide, act once. It remembers only what
 * sets its pace; everything that must survive a crash is in the satellite.
 */
export class Reconciler {
  readonly #dependencies: Dependencies;
  readonly #remembered = new Map<string, RememberedSatellite>();
  /** Satellites whose port did not answer the last look. */
  readonly #silent = new SilentPorts();
  #reconcileID = 0;
  #hasWarnedOfSchema = false;

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Does the next step for the satellite under `key` ("namespace/name").
   *
   * @returns when to call again; nothing when only a change of the satellite makes it worthwhile
   * @throws what cannot be shown on the satellite: failures of writes to the API server
   */
  async reconcile(key: string): Promise<WorkResult | undefined> {
    const satellite = this.#dependencies.satellites.get(key);
    if (satellite === undefined || !this.#dependencies.owns(satellite)) {
      this.#remembered.delete(key);
      this.#silent.delete(key);
      return undefined;
    }
    if (!MAY_ANSWER.has(satellite.status.power.state)) {
      this.#silent.delete(key);
    }
    // The cache may know a newer version than the tracker was told of.
    this.#dependencies.idle.observe(key, satellite);
    const remembered = this.#recall(key, satellite);
    const logger = this.#dependencies.logger.child({
      controller: "satellite",
      namespace: satellite.metadata.namespace,
      name: satellite.metadata.name,
      reconcileID: String(++this.#reconcileID),
    });
    const observed = await this.#observe(key, satellite, remembered);
    if (observed === undefined) {
      return this.#waitBlindly(key, satellite, remembered);
    }
    const action = decide(observed, this.#dependencies.settings);
    if (action.kind === "Wait") {
      logger.debug("Waiting", { reason: action.reason, afterMs: Math.round(action.afterMs) });
      return Number.isFinite(action.afterMs) ? { requeueAfterMs: action.afterMs } : undefined;
    }
    logger.info("Acting", describeAction(action));
    return this.#act(action, observed, remembered);
  }

  /** `undefined` when the machine cannot be observed now; the reason is remembered. */
  async #observe(
    key: string,
    satellite: Satellite,
    { memory }: RememberedSatellite,
  ): Promise<Observation | undefined> {
    const { clock, random, logger, metrics } = this.#dependencies;
    const blind = observeBlindly(key, satellite, memory, this.#dependencies);
    const { blindness } = memory.failures;
    if (
      blindness !== undefined &&
      blindness.retryAtMs > blind.nowMs &&
      blindness.inputs === inputsOf(blind)
    ) {
      return undefined;
    }
    try {
      const seen = await observe(key, satellite, memory, this.#dependencies);
      noteBlindness(memory, undefined);
      return seen;
    } catch (error) {
      const failure = failureOf(blind, OBSERVE, error, { nowMs: clock.monotonicMs(), random });
      noteBlindness(memory, failure);
      metrics.failures.inc({ reason: failure.reason });
      logger.warn("The machine could not be looked at", { key, reason: failure.reason, error });
      return undefined;
    }
  }

  /** Shows on the satellite why its machine cannot be observed, and waits: without that nothing can be decided. */
  async #waitBlindly(
    key: string,
    satellite: Satellite,
    remembered: RememberedSatellite,
  ): Promise<WorkResult | undefined> {
    const { memory } = remembered;
    const { blindness } = memory.failures;
    const observed = observeBlindly(
      key,
      satellite,
      blindness === undefined ? memory : { ...memory, failures: { ...memory.failures, last: blindness } },
      this.#dependencies,
    );
    const status = renderStatus(observed);
    if (statusPatch(satellite, status) !== undefined && !isPaused(satellite)) {
      return this.#act({ kind: "WriteStatus", status }, observed, remembered);
    }
    return { requeueAfterMs: Math.max(0, (blindness?.retryAtMs ?? 0) - observed.nowMs) };
  }

  #recall(key: string, satellite: Satellite): RememberedSatellite {
    const { uid } = satellite.metadata;
    let remembered = this.#remembered.get(key);
    if (remembered === undefined || remembered.uid !== uid) {
      remembered = { uid, memory: newMemory(), staleWrites: 0 };
      this.#remembered.set(key, remembered);
    }
    return remembered;
  }

  async #act(
    action: Exclude<Action, { kind: "Wait" }>,
    observed: Observation,
    remembered: RememberedSatellite,
  ): Promise<WorkResult | undefined> {
    const { metrics, clock, random, assertMayAct } = this.#dependencies;
    const { rejection } = remembered.memory.failures;
    if (
      rejection?.action === action.kind &&
      rejection.retryAtMs > observed.nowMs &&
      rejection.inputs === inputsOf(observed)
    ) {
      return this.#showRejection(rejection, observed);
    }
    if (!HARMLESS.has(action.kind)) {
      assertMayAct(observed.satellite);
    }
    try {
      const result = await perform(action, observed, remembered.memory, this.#dependencies);
      metrics.actions.inc({ action: action.kind, outcome: result.kind });
      if (action.kind === "Probe") {
        this.#noteProbe(observed.satellite, remembered.memory);
      }
      if (result.kind === "done") {
        noteWorked(remembered.memory, action.kind);
        remembered.staleWrites = 0;
        return AGAIN_AT_ONCE;
      }
      metrics.staleWrites.inc();
      if (result.kind === "unstored" && action.kind === "WriteStatus" && action.thenWaitMs !== undefined) {
        this.#warnOfOldSchema();
        return Number.isFinite(action.thenWaitMs) ? { requeueAfterMs: action.thenWaitMs } : undefined;
      }
      return { requeueAfterMs: backoffMs(remembered.staleWrites++, STALE_BACKOFF, random) };
    } catch (error) {
      metrics.actions.inc({ action: action.kind, outcome: "error" });
      if (error instanceof RejectedWrite && WRITES.has(action.kind)) {
        this.#noteRejection(action, observed, error, remembered.memory);
        return AGAIN_AT_ONCE;
      }
      if (WRITES.has(action.kind)) {
        disownStart(remembered.memory);
        throw error;
      }
      this.#noteFailure(action, observed, error, remembered.memory, clock.monotonicMs());
      return AGAIN_AT_ONCE;
    }
  }

  /** Says so once. Until the CRD is that of this version, the fields that it lacks are read from conditions (older-status.ts). */
  #warnOfOldSchema(): void {
    if (!this.#hasWarnedOfSchema) {
      this.#hasWarnedOfSchema = true;
      this.#dependencies.logger.warn(
        "The API server drops fields of the status: its CRDs are older than this operator; apply those of its version",
      );
    }
  }

  #noteRejection(action: Action, observed: Observation, error: RejectedWrite, memory: Memory): void {
    const { metrics, random, logger, announce, clock } = this.#dependencies;
    const context = { nowMs: clock.monotonicMs(), random };
    const { rejection } = memory.failures;
    const byAction = rejection === undefined ? {} : { [action.kind]: rejection };
    const known = { ...newMemory(), failures: { byAction } };
    const failure = failureOf({ ...observed, memory: known }, action.kind, error, context);
    const isNew = rejection?.message !== failure.message;
    noteRejection(memory, rejectionOf(failure, context));
    metrics.failures.inc({ reason: failure.reason });
    logger.error("The API server will not store what is written", {
      namespace: observed.satellite.metadata.namespace,
      name: observed.satellite.metadata.name,
      action: action.kind,
      count: failure.count,
      error,
    });
    if (isNew) {
      announce(observed.satellite, { type: "Warning", reason: failure.reason, message: failure.message });
    }
  }

  /** Shows on the satellite why nothing goes on, if at least that can be stored, and waits. */
  async #showRejection(rejection: Failure, observed: Observation): Promise<WorkResult> {
    const status = rejectedStatus(observed, rejection);
    if (statusPatch(observed.satellite, status) !== undefined) {
      this.#dependencies.assertMayAct(observed.satellite);
      try {
        await perform({ kind: "WriteStatus", status }, observed, newMemory(), this.#dependencies);
      } catch (error) {
        if (!(error instanceof RejectedWrite)) {
          throw error;
        }
      }
    }
    return { requeueAfterMs: Math.max(0, rejection.retryAtMs - this.#dependencies.clock.monotonicMs()) };
  }

  #noteProbe(satellite: Satellite, memory: Memory): void {
    const key = keyString(objectKey(satellite));
    if (memory.port.probe?.ready === true) {
      this.#silent.delete(key);
    } else {
      this.#silent.add(key);
    }
    noteSilentPorts(memory, this.#silent.besides(key));
  }

  #noteFailure(action: Action, observed: Observation, error: unknown, memory: Memory, nowMs: number): void {
    const { metrics, random, logger, announce } = this.#dependencies;
    const isRejected = error instanceof RejectedWrite;
    const given = failureOf(observed, action.kind, error, { nowMs, random });
    const failure = isRejected ? rejectionOf(given, { nowMs, random }) : given;
    noteFailure(memory, failure);
    metrics.failures.inc({ reason: failure.reason });
    logger[isRejected ? "error" : "warn"]("Step failed", {
      namespace: observed.satellite.metadata.namespace,
      name: observed.satellite.metadata.name,
      action: action.kind,
      class: failure.class,
      reason: failure.reason,
      count: failure.count,
      error,
    });
    if (!isSaid(observed.satellite.status, failure.reason)) {
      announce(observed.satellite, { type: "Warning", reason: failure.reason, message: failure.message });
    }
  }
}

/** Writes to the API server. Their failures say nothing about the satellite, and the queue repeats them. */
const WRITES: ReadonlySet<Action["kind"]> = new Set<Action["kind"]>([
  "AddFinalizer",
  "RemoveFinalizer",
  "WriteStatus",
  "DesireOff",
  "DesireOn",
  "PruneRouters",
]);

function describeAction(action: Exclude<Action, { kind: "Wait" }>): Record<string, unknown> {
  if (action.kind === "WriteStatus") {
    const { phase, power } = action.status;
    return { action: action.kind, phase, power: power.state, epoch: power.epoch, why: power.reason };
  }
  const { kind, ...fields } = action;
  return { action: kind, ...fields };
}
