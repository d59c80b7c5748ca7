import type { JsonObject } from "./json.ts";

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

/** An event of core/v1, the form in which events are stored, as events.k8s.io/v1. */
export function toEventsV1(event: JsonObject): JsonObject {
  return { ...renamed(event, EVENTS_NAMES), apiVersion: "events.k8s.io/v1" };
}

/** An event of events.k8s.io/v1 as core/v1. */
export function toCoreV1(event: JsonObject): JsonObject {
  return { ...renamed(event, CORE_NAMES), apiVersion: "v1" };
}

function renamed(event: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [names.get(name) ?? name, value]));
}
