import type { Machine } from "../machines/cloud.ts";
import type { Action } from "./action.ts";
import type { Dependencies, ProbeAnswer } from "./dependencies.ts";
import { requireClass } from "./launch-request.ts";
import type { Memory } from "./memory/memory.ts";
import { noteMeasurement, noteProbe, noteReplacementProbe, type Meeting } from "./memory/port.ts";
import type { Observation } from "./observation.ts";
import type { ProbeTarget } from "./probe-target.ts";
import { isAt, otherVm, tlsNotServed } from "./vm-key.ts";

/** Most characters of a boot ID, which the guest is free to make up; the CRD's bound. */
const MAX_BOOT_ID = 64;

/** Looks at the port of the machine in use, and notes which machine answered. @throws CloudError, ConfigurationError */
export async function probe(
  target: Extract<Action, { kind: "Probe" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<void> {
  const isBuildkit = observed.satelliteClass?.spec.guest.kind === "buildkit";
  const measures = isBuildkit && isMeasured(observed, dependencies);
  if (measures) {
    noteMeasurement(memory, observed.satellite.status.power.epoch, observed.nowMs);
  }
  const answer = await dependencies.probe({ ...whereOf(target), isBuildkit, measures });
  const judgement = await judge(answer, target, observed.machine, observed, dependencies);
  const { bootID, runningWork, buildkit } = answer;
  noteProbe(memory, {
    epoch: observed.satellite.status.power.epoch,
    atMs: dependencies.clock.monotonicMs(),
    ...judgement,
    ...(bootID === undefined ? {} : { bootID: bootID.slice(0, MAX_BOOT_ID) }),
    runningWork,
    ...(buildkit === undefined ? {} : { buildkit }),
  });
}

/**
 * Whether BuildKit is asked how large its cache is, for which it looks at every piece: before it is put to sleep, and now and
 * then where it stays awake.
 */
function isMeasured(
  { satellite, idleness, memory: { port }, nowMs }: Observation,
  { settings }: Dependencies,
): boolean {
  const { power } = satellite.status;
  const isDue =
    port.measurement?.epoch !== power.epoch || nowMs - port.measurement.atMs >= settings.measureCacheMs;
  return power.state === "Running" && (idleness.remainingMs === 0 || isDue);
}

function whereOf({ host, port, tls, tlsFingerprint }: ProbeTarget): ProbeTarget {
  return { host, port, tls, ...(tlsFingerprint === undefined ? {} : { tlsFingerprint }) };
}

/** The same for the machine that is to replace it. @throws CloudError, ConfigurationError */
export async function probeReplacement(
  target: Extract<Action, { kind: "ProbeReplacement" }>,
  observed: Observation,
  memory: Memory,
  dependencies: Dependencies,
): Promise<void> {
  const answer = await dependencies.probe(whereOf(target));
  const judgement = await judge(answer, target, observed.replacement, observed, dependencies);
  noteReplacementProbe(memory, {
    machine: target.id,
    atMs: dependencies.clock.monotonicMs(),
    ...judgement,
  });
}

/**
 * Judges which machine has answered. The cloud gives an address to one machine at a time, for as long as that exists: where
 * it named our machine for this address before the handshake and after it, ours has made the handshake.
 *
 * @param before the machine as it was described before the look
 */
async function judge(
  { ready, shown, notTls }: ProbeAnswer,
  { host, tls, tlsFingerprint }: ProbeTarget,
  before: Machine | undefined,
  observed: Observation,
  { cloudOf }: Dependencies,
): Promise<Meeting> {
  if (tls === "Off" || (tlsFingerprint !== undefined && shown === tlsFingerprint)) {
    return { ready };
  }
  const isStranger = tlsFingerprint !== undefined && shown !== undefined;
  const isTelling = ready || isStranger || notTls !== undefined;
  if (!isTelling || before === undefined || !isAt(before, before.id, host)) {
    return { ready: false };
  }
  const { id } = before;
  const after = await cloudOf(requireClass(observed.satellite, observed.satelliteClass)).describe(id, 0);
  if (!isAt(after, id, host)) {
    return { ready: false };
  }
  if (shown === undefined) {
    return { ready: false, trouble: tlsNotServed(notTls ?? "", tlsFingerprint !== undefined) };
  }
  return tlsFingerprint === undefined
    ? { ready, key: { machine: id, host, fingerprint: shown } }
    : { ready: false, trouble: otherVm(observed, shown) };
}
