import type { OrphanSettings } from "./orphan-rules.ts";

/** The operator's times, in milliseconds. */
export interface OperatorSettings extends OrphanSettings {
  /** Between looks at a machine whose start or stop is under way. */
  readonly transitionPollMs: number;
  /** Between looks at the port of a VM that is coming up. */
  readonly probePollMs: number;
  /** Between looks at any two VMs that are coming up, so that each of a thousand is looked at less often. */
  readonly probeSpacingMs: number;
  /** How old a description may be of a machine whose start was accepted. Its port tells more, and costs no call. */
  readonly comingUpMaxAgeMs: number;
  /** How old a description may be of a machine that is at rest. */
  readonly restingMaxAgeMs: number;
  /**
   * How long a description may contradict a call that was accepted, since clouds are eventually consistent (EC2 API
   * reference, "Eventual consistency").
   */
  readonly settleMs: number;
  /** How long every read and list must have lacked a machine or volume before it counts as gone (absence.ts). */
  readonly missingMs: number;
  /** For how long after it was made a machine may not be visible yet, for the same reason. */
  readonly unknownMachineMs: number;
  /** For how long after its launch a machine that is "not ready to hibernate yet" is asked again. */
  readonly hibernateReadyMs: number;
  readonly hibernateRetryMs: number;
  /** After this time in `pending` a machine counts as stuck. */
  readonly stuckStartingMs: number;
  /** After this time in `stopping` a machine is stopped by force. */
  readonly stuckStoppingMs: number;
  /** After this time without an answer from its port a running machine is rebooted, then restarted, then given up. */
  readonly unreachableMs: number;
  /** After this time without an answer its console is read: the guest may say there what is wrong. */
  readonly lastWordsAfterMs: number;
  /** Between looks at the port of a machine that is awake and not in use. */
  readonly healthPollMs: number;
  /** Between questions to BuildKit how large its cache is, while it stays awake. */
  readonly measureCacheMs: number;
  /** How long at most a guest that says it works keeps a satellite awake that no router uses. */
  readonly guestBusyMaxMs: number;
  /** Between questions to the guest whether it works on something. */
  readonly guestPollMs: number;
  /** Between looks whether the class's limit lets another satellite be awake. */
  readonly quotaPollMs: number;
  /** Longest time between looks at a satellite at rest. */
  readonly resyncMs: number;
  /** Between complete lists of the events that the cloud has announced. */
  readonly eventPollMs: number;
  /** Between complete lists of data volumes, which are looked at for orphans. */
  readonly volumePollMs: number;
  /**
   * A hibernated machine is started and hibernated again after this time, since a cloud may keep its memory for 60 days only
   * (docs/ec2.md).
   */
  readonly refreshHibernatedMs: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What is right for clouds whose machines start within minutes and whose reads are eventually consistent (docs/operations.md). */
export const defaultSettings: OperatorSettings = {
  transitionPollMs: 500,
  probePollMs: 200,
  probeSpacingMs: 2,
  comingUpMaxAgeMs: 2 * SECOND,
  restingMaxAgeMs: 2 * MINUTE,
  settleMs: 10 * SECOND,
  missingMs: 10 * MINUTE,
  unknownMachineMs: 5 * MINUTE,
  hibernateReadyMs: 5 * MINUTE,
  hibernateRetryMs: 10 * SECOND,
  stuckStartingMs: 10 * MINUTE,
  stuckStoppingMs: 10 * MINUTE,
  unreachableMs: 5 * MINUTE,
  lastWordsAfterMs: MINUTE,
  healthPollMs: MINUTE,
  measureCacheMs: HOUR,
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
