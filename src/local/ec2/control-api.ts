import { SatelliteError, toError } from "../../base/errors.ts";
import { parseFault, type Faults } from "./faults.ts";
import type { Ec2Model } from "./model.ts";
import type { RequestLog } from "./request-log.ts";
import { parseEvent } from "./scheduled-events.ts";
import { jsonResponse, type WireRequest, type WireResponse } from "./wire.ts";

/** What the control API reads and changes. */
export interface Controlled {
  readonly model: Ec2Model;
  readonly log: RequestLog;
  readonly faults: Faults;
}

/**
 * The endpoint's control API, for tests and the demo; EC2 has no such thing.
 *
 * - `GET /_control/calls?action=…&id=…` requests so far; `DELETE /_control/calls` forgets them
 * - `GET /_control/instances` and `/_control/volumes` all records; `GET /_control/images`
 * - `POST /_control/faults` one fault as JSON (see `Fault`); `DELETE /_control/faults`
 * - `POST /_control/events` `{id, code, notBefore, description?}` announces an event for an instance
 * - `POST /_control/absence` `{id, from, forMs}` lets an instance be missing from `lists`, `descriptions` or `both`
 * - `POST /_control/capacity` `{zone, type, instances}`, `instances: null` for no limit
 * - `POST /_control/quota` `{vcpus}`, null for no limit
 * - `POST /_control/behaviour` `{visibilityDelayMs, hibernationReadyAfterMs}`, either may be left out
 */
export function answerControl(request: WireRequest, controlled: Controlled): WireResponse {
  const url = new URL(request.path, "http://control");
  try {
    const body = answer(`${request.method} ${url.pathname}`, url.searchParams, request.body, controlled);
    return jsonResponse(200, body);
  } catch (error) {
    const { message } = toError(error);
    const code = error instanceof SatelliteError ? error.code : "InvalidRequest";
    return jsonResponse(code === "UnknownPath" ? 404 : 400, { code, message });
  }
}

function answer(
  route: string,
  query: URLSearchParams,
  body: string,
  { model, log, faults }: Controlled,
): unknown {
  switch (route) {
    case "GET /_control/calls":
      return log.calls(query.get("action") ?? undefined, query.get("id") ?? undefined);
    case "DELETE /_control/calls":
      log.clear();
      return {};
    case "GET /_control/instances":
      return model.instances.truths();
    case "GET /_control/volumes":
      return model.volumes.truths();
    case "GET /_control/images":
      return model.images;
    case "POST /_control/faults":
      faults.add(parseFault(JSON.parse(body)));
      return {};
    case "DELETE /_control/faults":
      faults.clear();
      return {};
    case "POST /_control/events": {
      const { instance, ...event } = parseEvent(JSON.parse(body));
      model.schedule(instance, event);
      return {};
    }
    case "POST /_control/absence":
      hide(model, JSON.parse(body));
      return {};
    case "POST /_control/capacity":
      setCapacity(model, JSON.parse(body));
      return {};
    case "POST /_control/quota": {
      const { vcpus } = JSON.parse(body) as Record<string, unknown>;
      model.capacity.setVcpuQuota(vcpus === null ? Number.POSITIVE_INFINITY : wholeNumber("vcpus", vcpus));
      return {};
    }
    case "POST /_control/behaviour":
      setBehaviour(model, JSON.parse(body));
      return model.behaviour;
    default:
      throw new SatelliteError("UnknownPath", `${route} is not served; see src/local/ec2/control-api.ts`);
  }
}

function setBehaviour({ behaviour }: Ec2Model, value: unknown): void {
  const { visibilityDelayMs, hibernationReadyAfterMs, ...unknown } = value as Record<string, unknown>;
  const [name] = Object.keys(unknown);
  if (name !== undefined) {
    throw new SatelliteError(
      "InvalidBehaviour",
      `there is no behaviour "${name}"; see src/local/ec2/model.ts`,
    );
  }
  if (visibilityDelayMs !== undefined) {
    behaviour.visibilityDelayMs = wholeNumber("visibilityDelayMs", visibilityDelayMs);
  }
  if (hibernationReadyAfterMs !== undefined) {
    behaviour.hibernationReadyAfterMs = wholeNumber("hibernationReadyAfterMs", hibernationReadyAfterMs);
  }
}

function wholeNumber(name: string, value: unknown): number {
  if (!Number.isInteger(value) || Number(value) < 0) {
    throw new SatelliteError(
      "InvalidNumber",
      `"${name}" must be a whole number, not ${JSON.stringify(value)}`,
    );
  }
  return Number(value);
}

function hide({ instances }: Ec2Model, value: unknown): void {
  const { id, from, forMs } = value as Record<string, unknown>;
  if (typeof id !== "string" || (from !== "lists" && from !== "descriptions" && from !== "both")) {
    throw new SatelliteError(
      "InvalidAbsence",
      "an absence needs id, forMs, and from: lists, descriptions or both",
    );
  }
  instances.hide(id, from, wholeNumber("forMs", forMs));
}

function setCapacity(model: Ec2Model, value: unknown): void {
  const { zone, type, instances } = value as Record<string, unknown>;
  const isCount = instances === null || (Number.isInteger(instances) && Number(instances) >= 0);
  if (typeof zone !== "string" || typeof type !== "string" || !isCount) {
    throw new SatelliteError("InvalidCapacity", "capacity needs zone, type and instances (a number or null)");
  }
  model.capacity.setPool(zone, type, instances === null ? undefined : Number(instances));
}
