import type { OrphanSettings } from "./orphans.ts";

/** Times that the operator goes by, in milliseconds. */
export interface OperatorSettings extends OrphanSettings {
  /** Between looks at a machine whose start or stop is under way. */
  readonly transitionPollMs: number;
  /** Between looks at the port of a VM that is coming up. */
  readonly probePollMs: number;
  /** Between looks at any two of the VMs that are coming up: a thousand of them are each looked at less often. */
  readonly probeSpacingMs: number;
  /** How old a description may be of a machine whose start was accepted: its port tells more, and costs no call. */
  readonly comingUpMaxAgeMs: number;
  /** How old a description may be of a machine that is at rest. */
  readonly restingMaxAgeMs: number;
  /**
   * How long a description that contradicts an accepted call is put down to eventual consistency (EC2 API
   * reference, "Eventual consistency").
   */
  readonly settleMs: number;
  /** How long every read and list must have lacked a machine or volume before it counts as gone (absence.ts). */
  readonly missingMs: number;
  /** How long an ID that is not known yet is put down to eventual consistency after it was made. */
  readonly unknownInstanceMs: number;
  /** How long after its launch "not ready to hibernate yet" is worth another try. */
  readonly hibernateReadyMs: number;
  readonly hibernateRetryMs: number;
  /** After this time in `pending` a machine is said to be stuck. */
  readonly stuckStartingMs: number;
  /** After this time in `stopping` a machine is stopped by force. */
  readonly stuckStoppingMs: number;
  /** After this time without an answer from its port a running machine is rebooted, then restarted, then given up. */
  readonly unreachableMs: number;
  /** Between looks at the port of a machine that is awake and not in use. */
  readonly healthPollMs: number;
  /** Longest time that the guest's word alone keeps a satellite awake. */
  readonly guestBusyMaxMs: number;
  /** Between questions to the guest whether it still works. */
  readonly guestPollMs: number;
  /** Between looks whether there is a place among those that may be awake. */
  readonly quotaPollMs: number;
  /** At rest, a satellite is looked at again after this time at the latest. */
  readonly resyncMs: number;
  /** Between complete lists of the events that the cloud has announced. */
  readonly eventPollMs: number;
  /** Between complete lists of data volumes, which are looked at for orphans. */
  readonly volumePollMs: number;
  /** A hibernated machine is refreshed after this time (EC2 keeps hibernation for 60 days at most). */
  readonly refreshHibernatedMs: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What is right for EC2 (docs/operations.md). */
export const defaultSettings: OperatorSettings = {
  transitionPollMs: 500,
  probePollMs: 200,
  probeSpacingMs: 2,
  comingUpMaxAgeMs: 2 * SECOND,
  restingMaxAgeMs: 2 * MINUTE,
  settleMs: 10 * SECOND,
  missingMs: 10 * MINUTE,
  unknownInstanceMs: 5 * MINUTE,
  hibernateReadyMs: 5 * MINUTE,
  hibernateRetryMs: 10 * SECOND,
  stuckStartingMs: 10 * MINUTE,
  stuckStoppingMs: 10 * MINUTE,
  unreachableMs: 5 * MINUTE,
  healthPollMs: MINUTE,
  guestBusyMaxMs: 4 * HOUR,
  guestPollMs: 30 * SECOND,
  quotaPollMs: 5 * SECOND,
  resyncMs: 10 * MINUTE,
  eventPollMs: 5 * MINUTE,
  volumePollMs: 10 * MINUTE,
  refreshHibernatedMs: 59 * DAY,
  orphanGraceMs: 2 * MINUTE,
  spareGraceMs: MINUTE,
  orphanKeptMs: 7 * DAY,
  orphanWindowMs: 10 * MINUTE,
  orphanShare: 0.1,
  orphanStopShare: 0.5,
};

/** What is right for the one-machine default, whose machines change state within a second. */
export const localSettings: OperatorSettings = {
  ...defaultSettings,
  transitionPollMs: 50,
  probePollMs: 100,
  comingUpMaxAgeMs: SECOND / 2,
  restingMaxAgeMs: 5 * SECOND,
  // Stock Debian, emulated on a busy machine, boots for minutes.
  unreachableMs: 20 * MINUTE,
  settleMs: 2 * SECOND,
  hibernateReadyMs: MINUTE,
  hibernateRetryMs: SECOND,
  guestPollMs: 5 * SECOND,
  resyncMs: MINUTE,
};
