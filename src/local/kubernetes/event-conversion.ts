import { equalJson, type JsonObject, type JsonValue } from "./json.ts";

/** Fields of events.k8s.io/v1 and what core/v1 calls them; the rest has one name in both. */
const CORE_NAMES: ReadonlyMap<string, string> = new Map([
  ["regarding", "involvedObject"],
  ["note", "message"],
  ["reportingController", "reportingComponent"],
  ["deprecatedSource", "source"],
  ["deprecatedFirstTimestamp", "firstTimestamp"],
  ["deprecatedLastTimestamp", "lastTimestamp"],
  ["deprecatedCount", "count"],
]);
const EVENTS_NAMES: ReadonlyMap<string, string> = new Map(
  [...CORE_NAMES].map(([name, core]) => [core, name]),
);

/** Fields that Go types write even when they are not set; stored events leave them out. */
const CORE_ZEROES: JsonObject = {
  eventTime: null,
  firstTimestamp: null,
  involvedObject: {},
  lastTimestamp: null,
  reportingComponent: "",
  reportingInstance: "",
  source: {},
};
const EVENTS_ZEROES: JsonObject = {
  deprecatedFirstTimestamp: null,
  deprecatedLastTimestamp: null,
  deprecatedSource: {},
  eventTime: null,
  regarding: {},
};

/** A stored event as core/v1. */
export function toCoreV1(event: JsonObject): JsonObject {
  return { ...CORE_ZEROES, ...event };
}

/** A stored event as events.k8s.io/v1. */
export function toEventsV1(event: JsonObject): JsonObject {
  return { ...EVENTS_ZEROES, ...renamed(event, EVENTS_NAMES), apiVersion: "events.k8s.io/v1" };
}

/** An event of core/v1 in the form in which events are stored. */
export function fromCoreV1(event: JsonObject): JsonObject {
  const kept = Object.entries(event).filter(([name, value]) => !isZero(name, value));
  return Object.fromEntries(kept);
}

/** An event of events.k8s.io/v1 in the form in which events are stored, which is that of core/v1. */
export function fromEventsV1(event: JsonObject): JsonObject {
  return fromCoreV1({ ...renamed(event, CORE_NAMES), apiVersion: "v1" });
}

function isZero(name: string, value: JsonValue): boolean {
  return Object.hasOwn(CORE_ZEROES, name) && equalJson(CORE_ZEROES[name], value);
}

function renamed(event: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [names.get(name) ?? name, value]));
}
