import type { Rule } from "./rules.ts";

/** The configuration in which leaving a rule out shows. */
export const foundIn: Readonly<Record<Rule, string>> = {
  "wake.uid": "delete and create, wake",
  "wake.wakePolicy": "person",

  "lease.uid": "delete and create, router",
  "lease.on": "operator loses answers",
  "lease.state": "delete and create, router",
  "lease.epoch": "person",
  "lease.fromSend": "operator loses answers",
  "lease.half": "operator loses answers",
  "lease.freshSeq": "router crashes",
  "lease.view": "delete and create, router",
  "lease.required": "operator loses answers",

  "probe.accepted": "idle",
  "probe.epoch": "idle",

  "drained.uid": "delete and create, router",
  "drained.noStreams": "person",
  "drained.afterStopping": "person",
  "drained.namesEpoch": "router loses answers, drain",

  "withdraw.entry": "router ends",
  "withdraw.noStreams": "router ends",
  "withdraw.lease": "router ends",

  "idleOff.uid": "delete and create",
  "idleOff.activity": "operator loses answers",
  "idleOff.generation": "timeout",
  "idleOff.validity": "operator loses answers",
  "idleOff.activityRestarts": "operator loses answers",
  "idleOff.generationRestarts": "timeout",
  "idleOff.runningRestarts": "operator crashes",

  "prune.entry": "prune",
  "prune.over": "prune",
  "prune.notDraining": "prune",

  "stop.uid": "delete and create",
  "stop.off": "person",
  "stop.activity": "router crashes",
  "stop.power": "operator and person",
  "stop.noLiveLease": "person",
  "stop.final": "operator and person",

  "drain.uid": "delete and create, drain",
  "drain.off": "person",
  "drain.power": "delete and create, drain",
  "drain.wait": "person",
  "drain.freshCache": "delete",

  "delete.uid": "delete and create",
  "delete.power": "delete and create",

  "start.uid": "delete and create, start",
  "start.on": "operator and person",
  "start.power": "operator and person",
  "fence.uid": "delete and create, start",
  "fence.power": "operator and person",
  "accept.uid": "delete and create, start",
  "accept.epoch": "operator and person",
  "run.uid": "delete and create, start",
  "run.power": "operator and person",
  "off.uid": "delete and create",
  "off.power": "operator and person",

  "order.stopIntent": "operator and person",
  "order.startIntent": "operator and person",
  "order.deleteIntent": "delete",
  "order.fence": "operator crashes, person",
  "order.startOnce": "operator and person",
  "order.stopAnswered": "operator and person",
  "order.waitStopped": "operator and person",
  "order.waitStarted": "operator and person",

  "leader.margin": "two operators",
  "leader.abort": "two operators",
  "leader.settle": "operator and person",
};
