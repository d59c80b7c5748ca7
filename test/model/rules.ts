/**
 * Every test in every patch and every rule of order. A mutant of the protocol leaves out one of them; the
 * checker must then find a violation, or the rule is superfluous.
 */
export const RULES = {
  "wake.uid": "the wake patch tests the uid",
  "wake.wakePolicy": "the wake patch tests wakePolicy OnRequest",

  "lease.uid": "the lease patch tests the uid",
  "lease.on": "the lease patch tests desiredPower on",
  "lease.state": "the lease patch tests power.state",
  "lease.epoch": "the lease patch tests power.epoch",
  "lease.fromSend": "the router counts its lease from when it sent the patch",
  "lease.half": "the router admits until half of the validity only",
  "lease.freshSeq": "a restarted router never repeats a seq",
  "lease.view": "the router admits only while its view shows the lease's epoch in Running or Starting",
  "lease.required": "the router admits under a lease only",

  "probe.accepted": "the router probes only after StartInstances was accepted",
  "probe.epoch": "the router forgets its probe when the epoch changes",

  "drained.uid": "the drained patch tests the uid",
  "drained.noStreams": "the router says drained only without an open stream",
  "drained.afterStopping": "the router says drained only once it saw Stopping",
  "drained.namesEpoch": "the drained entry counts for the epoch that it names only",

  "withdraw.entry": "the withdrawal tests the entry that it removes",
  "withdraw.noStreams": "the router withdraws its lease only without an open stream",
  "withdraw.lease": "the router admits nothing any more once it withdraws",

  "idleOff.uid": "the idle-off patch tests the uid",
  "idleOff.activity": "the idle-off patch tests the activity",
  "idleOff.generation": "the idle-off patch tests metadata.generation",
  "idleOff.validity": "the operator waits for the whole validity of the leases",
  "idleOff.activityRestarts": "a changed seq restarts the idle clock",
  "idleOff.generationRestarts": "a changed metadata.generation restarts the idle clock",
  "idleOff.runningRestarts": "entry to Running restarts the idle clock",

  "prune.entry": "the prune tests the entry as read",
  "prune.over": "an entry of an epoch that goes on is pruned only after the validity of its lease",
  "prune.notDraining": "no entry is pruned while the satellite drains",

  "stop.uid": "the Stopping intent tests the uid",
  "stop.off": "the Stopping intent tests desiredPower off",
  "stop.activity": "the Stopping intent without a drain tests the activity",
  "stop.power": "the Stopping intent tests power as read",
  "stop.noLiveLease": "a stop with live leases drains",

  "drain.uid": "the Draining intent tests the uid",
  "drain.off": "the Draining intent tests desiredPower off",
  "drain.power": "the Draining intent tests power as read",
  "drain.wait": "the stop waits for the drained entries or drainTimeout",
  "drain.freshCache": "the operator decides on nothing older than its own last write",

  "delete.uid": "the Deleting intent tests the uid",
  "delete.power": "the Deleting intent tests power as read",

  "start.uid": "the Starting intent tests the uid",
  "start.on": "the Starting intent tests desiredPower on",
  "start.power": "the Starting intent tests power as read",
  "fence.uid": "the fence tests the uid",
  "fence.power": "the fence tests power as read",
  "accept.uid": "the accepted mark tests the uid",
  "accept.epoch": "the accepted mark tests the epoch",
  "run.uid": "the Running patch tests the uid",
  "run.power": "the Running patch tests power as read",
  "off.uid": "the Off patch tests the uid",
  "off.power": "the Off patch tests power as read",
  "stop.final": "a stop is never taken back, only completed",

  "order.stopIntent": "Stopping is written before StopInstances",
  "order.startIntent": "Starting is written before StartInstances",
  "order.deleteIntent": "a Stopping intent with reason Deleting is written before TerminateInstances",
  "order.fence": "a leader sends StartInstances only under an intent that it wrote or fenced itself",
  "order.startOnce": "after StartInstances was accepted it is not sent again",
  "order.stopAnswered":
    "Off needs an answer to StopInstances of this leader, whatever DescribeInstances says",
  "order.waitStopped": "Off and StartInstances wait until `stopped` is read",
  "order.waitStarted": "StopInstances waits while `pending` is read",

  "leader.margin": "a leader sends only while its lease outlasts the call",
  "leader.abort": "a call is given up after its timeout, inside the margin",
  "leader.settle": "the next leader begins only when the last one's calls have settled",
} as const;

export type Rule = keyof typeof RULES;

/** Which rules are in force. */
export type Rules = Readonly<Record<Rule, boolean>>;

export const ruleNames = Object.keys(RULES) as Rule[];

/** The protocol without `removed`; the whole protocol when nothing is named. */
export function rulesWithout(removed?: Rule): Rules {
  return Object.fromEntries(ruleNames.map((rule) => [rule, rule !== removed])) as Record<Rule, boolean>;
}
