import type { Plan } from "./plan.ts";
import { befallsStop, simulate, type Outcome } from "./simulate.ts";
import { workloadNamed } from "./workloads.ts";

/** EC2 actions whose number is bounded. */
const BOUNDED = [
  "RunInstances",
  "StartInstances",
  "StopInstances",
  "TerminateInstances",
  "CreateTags",
  "CreateVolume",
  "AttachVolume",
  "DetachVolume",
  "DeleteVolume",
];

/** Intent, acceptance, outcome, and the wish or what is known of the sleep. */
const WRITES_PER_CALL = 4;

/** What is wrong with the story of a plan, beside the violations that it met on the way. */
export class Judge {
  readonly #references = new Map<string, Promise<Outcome>>();

  /** The story without faults. */
  reference({ workload, seed, operators = 1 }: Plan): Promise<Outcome> {
    const key = `${workload}/${seed}/${operators}`;
    let reference = this.#references.get(key);
    if (reference === undefined) {
      reference = simulate({ workload, seed, operators, faults: [] });
      this.#references.set(key, reference);
    }
    return reference;
  }

  /**
   * Tells the story and judges it.
   *
   * @param options.compares whether the end must be that of the undisturbed story
   * @returns what is wrong; nothing when the plan did no harm
   */
  async judge(plan: Plan, options: { readonly compares: boolean }): Promise<string[]> {
    const outcome = await simulate(plan);
    const faults = [...outcome.violations];
    const isEndless = plan.faults.some((fault) => fault.on === "cloud" && fault.times === undefined);
    if (isEndless) {
      return [...faults, ...endlessFaults(outcome), ...endlessDeletions(plan, outcome)];
    }
    if (!options.compares) {
      return faults;
    }
    const reference = await this.reference(plan);
    if (canCompareEnds(plan, outcome) && outcome.end !== reference.end) {
      faults.push(`the end is different:\n    ${outcome.end}\n  and undisturbed it is\n    ${reference.end}`);
    }
    const longerMinutes = Math.max(0, outcome.virtualMs - reference.virtualMs) / 60_000;
    const byTime = (workloadNamed(plan.workload).callsPerMinute ?? 0) * longerMinutes;
    const allowance = 2 * (outcome.befallen + outcome.restarts) + byTime;
    for (const [call, count] of outcome.accepted) {
      const [action = "", name] = call.split(" ");
      const usual = reference.accepted.get(call) ?? 0;
      if (BOUNDED.includes(action) && count > usual + allowance) {
        faults.push(`${action} was carried out ${count} times for ${name}, undisturbed ${usual} times`);
      }
    }
    faults.push(...tooManyCalls(outcome));
    const writes = outcome.operatorWrites;
    const mostWrites =
      2 * reference.operatorWrites +
      15 * (outcome.befallen + outcome.restarts) +
      WRITES_PER_CALL * byTime +
      20;
    if (writes > mostWrites) {
      faults.push(`the operator wrote ${writes} times, undisturbed ${reference.operatorWrites}`);
    }
    return faults;
  }
}

/**
 * Whether a fault leaves the end as it would have been: not where people, guests or refusals change it, nor where a
 * leader stands still before a stop. The next leader then finds a machine that somebody has stopped, and cannot know
 * that it hibernates.
 */
function canCompareEnds({ faults }: Plan, { trace }: Outcome): boolean {
  return faults.every(
    (fault) =>
      fault.on === "notification" ||
      fault.on === "visibility" ||
      (fault.on === "effect" && !(fault.what === "pause" && befallsStop(fault, trace))),
  );
}

/** Calls per hour that an operator may spend on something that never works. */
const MAX_CALLS_PER_HOUR = 400;

/** An error for ever: it is shown, and it does not burn calls. */
function endlessFaults(outcome: Outcome): string[] {
  const faults = tooManyCalls(outcome);
  if (!outcome.wasAtRest && !outcome.isExplained) {
    faults.push(`nothing says why it does not go on: ${outcome.end}`);
  }
  return faults;
}

/** Whatever launches and starts are answered, a deletion ends: machines can be looked for and terminated. */
function endlessDeletions({ faults }: Plan, { end }: Outcome): string[] {
  const canEnd = faults.every(
    (fault) => fault.on === "cloud" && (fault.action === "RunInstances" || fault.action === "StartInstances"),
  );
  return canEnd && / Deleting /.test(end) ? [`a deletion does not end: ${end}`] : [];
}

/** Whatever is refused, it is not asked for without end. */
function tooManyCalls(outcome: Outcome): string[] {
  const most = 30 + outcome.satellites + MAX_CALLS_PER_HOUR * (outcome.virtualMs / 3_600_000);
  return BOUNDED.flatMap((action) => {
    const sent = outcome.sent.get(action) ?? 0;
    return sent > most
      ? [`${action} was sent ${sent} times in ${Math.round(outcome.virtualMs / 60_000)} minutes`]
      : [];
  });
}
