import type { Ec2Endpoint } from "../../src/local/ec2/endpoint.ts";
import { ConnectionDropped } from "../../src/local/ec2/wire.ts";
import type { Transport, TransportRequest, TransportResponse } from "../../src/machines/ec2/transport.ts";
import { Tag } from "../../src/machines/tags.ts";
import { ec2Action } from "../support/ec2-action.ts";
import type { Courier } from "./courier.ts";
import type { FaultBook } from "./fault-book.ts";
import type { SimProcess } from "./sim-process.ts";

/** Bounds of the time that a request to EC2 takes each way, in milliseconds. */
const TRAVEL_MS = [5, 40] as const;

/** EC2 actions that change something. */
const CHANGES: ReadonlySet<string> = new Set([
  "RunInstances",
  "StartInstances",
  "StopInstances",
  "TerminateInstances",
  "RebootInstances",
  "CreateTags",
  "ModifyInstanceAttribute",
  "CreateVolume",
  "AttachVolume",
  "DetachVolume",
  "DeleteVolume",
]);

/** One call as the world sees it. */
export interface CloudCall {
  readonly process: SimProcess;
  readonly action: string;
  /** Instances that it names. */
  readonly ids: readonly string[];
  /** Name of the satellite that a launch is for. */
  readonly launchFor?: string;
  readonly isChange: boolean;
  readonly force: boolean;
}

/** What a cloud wire is made of. */
export interface CloudWireOptions {
  readonly endpoint: Ec2Endpoint;
  readonly courier: Courier;
  readonly process: SimProcess;
  readonly book: FaultBook;
  readonly onCall: (call: CloudCall) => void;
  readonly onAnswer: (call: CloudCall, status: number) => void;
}

/** Stands in for the network between one process and EC2: the real SDK, the real endpoint, no sockets. */
export function cloudWire(options: CloudWireOptions): Transport {
  const { endpoint, courier, process, book, onCall, onAnswer } = options;
  return (request: TransportRequest): Promise<TransportResponse> => {
    const call = callOf(process, request);
    return courier.send({
      process,
      ...(call.isChange ? { effect: `${call.action} ${call.ids.join(" ")}` } : {}),
      travelMs: TRAVEL_MS,
      carryOut: async () => {
        onCall(call);
        befall(call.action, endpoint, book);
        const response = await endpoint.handle(request);
        onAnswer(call, response.status);
        return response;
      },
      lost: () => new ConnectionDropped(),
    });
  };
}

/** Lets the plan's fault for this call befall it, inside the endpoint. */
function befall(action: string, endpoint: Ec2Endpoint, book: FaultBook): void {
  const fault = book.call(action);
  if (fault !== undefined) {
    const { what, code, status, message } = fault;
    endpoint.faults.add({
      action,
      kind: what,
      ...(code === undefined ? {} : { code }),
      ...(status === undefined ? {} : { status }),
      ...(message === undefined ? {} : { message }),
    });
  }
}

function callOf(process: SimProcess, { body, headers }: TransportRequest): CloudCall {
  const parameters = new URLSearchParams(body);
  const action = ec2Action(parameters) ?? headers["x-amz-target"] ?? "";
  const ids = [...parameters]
    .filter(([name]) => /^(?:InstanceId|ResourceId)\.\d+$|^(?:InstanceId|VolumeId)$/.test(name))
    .map(([, id]) => id);
  const name = [...parameters].find(([, value]) => value === Tag.name)?.[0].replace(/Key$/, "Value");
  const launchFor = action === "RunInstances" && name !== undefined ? parameters.get(name) : null;
  return {
    process,
    action,
    ids,
    ...(launchFor === null ? {} : { launchFor }),
    isChange: CHANGES.has(action),
    force: parameters.get("Force") === "true",
  };
}
