import type { Action } from "./action.ts";
import { invalidCombination } from "./api-error.ts";
import { applyFilters, isTagFilter, readFilters, tagFilterValues } from "./filters.ts";
import type { Instance } from "./instance.ts";
import { reservationXml, stateXml } from "./instance-xml.ts";
import { cutPage, isPaged, readPage } from "./paging.ts";
import type { XmlNode } from "./xml.ts";

const INSTANCE_FILTERS: Readonly<Record<string, (instance: Instance) => string>> = {
  "availability-zone": ({ zone }) => zone,
  "client-token": ({ clientToken }) => clientToken ?? "",
  "image-id": ({ image }) => image,
  "instance-id": ({ id }) => id,
  "instance-state-name": ({ state }) => state,
  "instance-type": ({ type }) => type,
  "private-ip-address": ({ privateAddress }) => privateAddress,
  "subnet-id": ({ subnet }) => subnet,
};

function instanceFilterValues(instance: Instance): (name: string) => string[] {
  return (name) =>
    isTagFilter(name)
      ? tagFilterValues(instance.tags, name)
      : [INSTANCE_FILTERS[name]?.(instance)].filter((value) => value !== undefined);
}

function isInstanceFilter(name: string): boolean {
  return isTagFilter(name) || name in INSTANCE_FILTERS;
}

/** Instances by ID, by filter, or all in pages; IDs and pages exclude each other. */
export const describeInstances: Action = (model, parameters) => {
  const ids = [...new Set(parameters.strings("InstanceId"))];
  const filters = readFilters(parameters);
  const page = readPage(parameters);
  if (ids.length > 0 && isPaged(page)) {
    throw invalidCombination("The parameter instancesSet cannot be used with the parameter maxResults");
  }
  return {
    bucket: filters.length > 0 || isPaged(page) ? "DescribeInstancesFiltered" : "DescribeInstances",
    ids,
    run: () => {
      const all = ids.length > 0 ? model.instances.lookUp(ids) : model.instances.visible();
      const matching = applyFilters(all, filters, isInstanceFilter, instanceFilterValues);
      const { items, nextToken } = cutPage(matching, page, ({ id }) => id);
      const content = { reservationSet: items.map((instance) => reservationXml(model, instance)), nextToken };
      return { content, ids: items.map(({ id }) => id) };
    },
  };
};

/** Filters of DescribeInstanceStatus; there are none by tag (EC2 API reference). */
const STATUS_FILTERS: Readonly<Record<string, (instance: Instance) => readonly string[]>> = {
  "availability-zone": ({ zone }) => [zone],
  "event.code": ({ events }) => events.map(({ code }) => code),
  "event.description": ({ events }) => events.map(({ description }) => description),
  "event.instance-event-id": ({ events }) => events.map(({ id }) => id),
  "instance-state-name": ({ state }) => [state],
};

/** Status checks and scheduled events; of running instances only, unless all are asked for. */
export const describeInstanceStatus: Action = (model, parameters) => {
  const ids = [...new Set(parameters.strings("InstanceId"))];
  const includeAll = parameters.boolean("IncludeAllInstances") ?? false;
  const filters = readFilters(parameters);
  const page = readPage(parameters);
  if (ids.length > 0 && isPaged(page)) {
    throw invalidCombination("The parameter instancesSet cannot be used with the parameter maxResults");
  }
  return {
    ids,
    run: () => {
      const all = (ids.length > 0 ? model.instances.lookUp(ids) : model.instances.visible()).filter(
        ({ state }) => includeAll || state === "running",
      );
      const matching = applyFilters(
        all,
        filters,
        (name) => Object.hasOwn(STATUS_FILTERS, name),
        (instance) => (name) => STATUS_FILTERS[name]?.(instance),
      );
      const { items, nextToken } = cutPage(matching, page, ({ id }) => id);
      return { content: { instanceStatusSet: items.map(statusXml), nextToken } };
    },
  };
};

function statusXml(instance: Instance): XmlNode {
  const status = instance.state === "running" ? "ok" : "not-applicable";
  const summary = {
    status,
    details: instance.state === "running" ? [{ name: "reachability", status: "passed" }] : [],
  };
  return {
    instanceId: instance.id,
    availabilityZone: instance.zone,
    eventsSet: instance.events.map((event) => ({
      instanceEventId: event.id,
      code: event.code,
      description: event.description,
      notBefore: event.notBefore,
    })),
    instanceState: stateXml(instance.state),
    systemStatus: summary,
    instanceStatus: summary,
  };
}
