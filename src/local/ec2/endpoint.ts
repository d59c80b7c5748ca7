import { sleep, type Clock } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Action, ReadyAction } from "./action.ts";
import { Ec2ApiError } from "./api-error.ts";
import {
  createTags,
  modifyInstanceAttribute,
  rebootInstances,
  startInstances,
  stopInstances,
  terminateInstances,
} from "./change-actions.ts";
import { getConsoleOutput } from "./console-action.ts";
import { answerControl } from "./control-api.ts";
import { checkCredentials } from "./credentials.ts";
import {
  describeImages,
  describeInstanceTypeOfferings,
  describeInstanceTypes,
  describeSecurityGroups,
  describeSubnets,
} from "./describe-catalogue.ts";
import { describeInstances, describeInstanceStatus } from "./describe-instances.ts";
import { Faults, type Fault } from "./faults.ts";
import type { Ec2Model } from "./model.ts";
import { QueryParameters } from "./query-parameters.ts";
import { RequestBuckets, type ActionLimit } from "./request-buckets.ts";
import { RequestLog } from "./request-log.ts";
import { runInstances } from "./run-instances.ts";
import { answerSsm } from "./ssm.ts";
import { attachVolume, createVolume, deleteVolume, describeVolumes, detachVolume } from "./volume-actions.ts";
import { ConnectionDropped, type WireHandler, type WireRequest, type WireResponse } from "./wire.ts";
import { writeError, writeResponse } from "./xml.ts";

const ACTIONS: Readonly<Record<string, Action>> = {
  AttachVolume: attachVolume,
  CreateTags: createTags,
  CreateVolume: createVolume,
  DeleteVolume: deleteVolume,
  DescribeImages: describeImages,
  DescribeInstanceStatus: describeInstanceStatus,
  DescribeInstanceTypeOfferings: describeInstanceTypeOfferings,
  DescribeInstanceTypes: describeInstanceTypes,
  DescribeInstances: describeInstances,
  DescribeSecurityGroups: describeSecurityGroups,
  DescribeSubnets: describeSubnets,
  DescribeVolumes: describeVolumes,
  DetachVolume: detachVolume,
  GetConsoleOutput: getConsoleOutput,
  ModifyInstanceAttribute: modifyInstanceAttribute,
  RebootInstances: rebootInstances,
  RunInstances: runInstances,
  StartInstances: startInstances,
  StopInstances: stopInstances,
  TerminateInstances: terminateInstances,
};

const API_VERSION = "2016-11-15";

/** What an endpoint is made of. */
export interface Ec2EndpointOptions {
  readonly model: Ec2Model;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Request limits by action, e.g. `DOCUMENTED_LIMITS`. Default none. */
  readonly limits?: Readonly<Record<string, ActionLimit>>;
  /** Values of the SSM parameter store by name. Default none. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** File that gets one JSON line per request. Default none. */
  readonly logFile?: string;
}

/** An EC2 endpoint over a model. */
export interface Ec2Endpoint {
  /** Answers requests of EC2 clients, of SSM clients (GetParameter) and of the control API. */
  readonly handle: WireHandler;
  readonly log: RequestLog;
  readonly faults: Faults;
}

/**
 * Creates an endpoint that speaks the EC2 Query protocol (EC2 API reference, "Query requests"): form-encoded
 * requests, XML answers. Unknown actions and parameters are refused, never ignored.
 */
export function createEc2Endpoint(options: Ec2EndpointOptions): Ec2Endpoint {
  const { model, clock, logger } = options;
  const log = new RequestLog(options.logFile);
  const faults = new Faults();
  const buckets = new RequestBuckets(options.limits ?? {}, clock);

  const record = (action: string, ids: readonly string[], outcome: string, requestId: string): void => {
    log.add({ time: clock.now().toISOString(), action, ids, outcome, requestId });
  };

  /**
   * A dry run, which is always answered with an error. Rights are checked before the resources that are named: a fault
   * `UnauthorizedOperation` for the action applies, and is not used up.
   */
  const dryRunOf = (action: string, ready: ReadyAction, parameters: QueryParameters): ReadyAction => ({
    ...ready,
    bucket: ready.bucket ?? action,
    run: () => {
      const fault = faults.find(action, parameters.canonical([]), "UnauthorizedOperation");
      if (fault !== undefined) {
        throw faultError(fault);
      }
      ready.check?.();
      throw new Ec2ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
    },
  });

  /** Carries out one request, with the fault that applies to it, if any. */
  const carryOut = async (
    action: string,
    ready: ReadyAction,
    fault: Fault | undefined,
    requestId: string,
  ): Promise<WireResponse> => {
    if (fault?.kind === "drop") {
      throw new ConnectionDropped();
    }
    // A request that arrives counts, whatever the answer.
    buckets.admit(ready.bucket ?? action, ready.resources ?? ready.ids?.length ?? 0);
    if (fault?.kind === "refuse") {
      throw faultError(fault);
    }
    if (fault?.kind === "fail-later") {
      const { code = "Server.InternalError", message = "" } = fault;
      model.failNext({ code, message: message === "" ? code : message, afterMs: fault.delayMs ?? 0 });
    }
    const { content, ids } = await ready.run();
    if (fault?.kind === "forget") {
      throw fault.code === undefined ? new ConnectionDropped() : faultError(fault);
    }
    if (fault?.kind === "delay") {
      await sleep(clock, fault.delayMs ?? 0);
    }
    record(action, ids ?? ready.ids ?? [], "ok", requestId);
    return xmlResponse(200, writeResponse(action, requestId, content));
  };

  const readCounted = (action: string, parameters: QueryParameters): ReadyAction => {
    try {
      return readAction(model, action, parameters);
    } catch (error) {
      buckets.admit(action, 0);
      throw error;
    }
  };

  const answerQuery = async (request: WireRequest): Promise<WireResponse> => {
    const requestId = model.newId("req");
    let action = "Unknown";
    let ids: readonly string[] = [];
    try {
      checkCredentials(request.headers["authorization"], model.region, "ec2");
      const parameters = QueryParameters.parse(request.body);
      action = parameters.requiredString("Action");
      const asked = readCounted(action, parameters);
      const ready = asked.dryRun === true ? dryRunOf(action, asked, parameters) : asked;
      if (asked.dryRun === true) {
        // Has a name of its own in the log and for faults, so that it does not count as a launch.
        action = `DryRun ${action}`;
      }
      ids = ready.ids ?? [];
      return await carryOut(action, ready, faults.take(action, parameters.canonical([])), requestId);
    } catch (error) {
      const { code, message, status } = toApiError(error, logger);
      record(action, ids, error instanceof ConnectionDropped ? "Dropped" : code, requestId);
      if (error instanceof ConnectionDropped) {
        throw error;
      }
      return xmlResponse(status, writeError(code, message, requestId));
    }
  };

  const handle = (request: WireRequest): Promise<WireResponse> => {
    if (request.path.startsWith("/_control/")) {
      return Promise.resolve(answerControl(request, { model, log, faults }));
    }
    const target = request.headers["x-amz-target"];
    if (target !== undefined) {
      const { action, outcome, response } = answerSsm(target, request.body, options.parameters ?? {});
      record(action, [], outcome, model.newId("req"));
      return Promise.resolve(response);
    }
    return answerQuery(request);
  };
  return { handle, log, faults };
}

function readAction(model: Ec2Model, name: string, parameters: QueryParameters): ReadyAction {
  const version = parameters.requiredString("Version");
  if (version !== API_VERSION) {
    throw new Ec2ApiError(
      "NoSuchVersion",
      `The requested version (${version}) of service AmazonEC2 does not exist`,
    );
  }
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) {
    throw new Ec2ApiError("InvalidAction", `The action ${name} is not valid for this web service.`);
  }
  const dryRun = parameters.boolean("DryRun") ?? false;
  const ready = action(model, parameters);
  parameters.refuseUnread();
  return { ...ready, dryRun };
}

function faultError(fault: Fault): Ec2ApiError {
  const code = fault.code ?? "InternalError";
  return new Ec2ApiError(code, fault.message ?? `${code}, as a scripted fault`, fault.status ?? 400);
}

function toApiError(error: unknown, logger: Logger): Ec2ApiError {
  if (error instanceof Ec2ApiError) {
    return error;
  }
  if (!(error instanceof ConnectionDropped)) {
    logger.error("A request failed inside the EC2 endpoint", { error: toError(error) });
  }
  return new Ec2ApiError("InternalError", "An internal error has occurred", 500);
}

function xmlResponse(status: number, body: string): WireResponse {
  return { status, headers: { "content-type": "text/xml;charset=UTF-8" }, body };
}
