import type { Instance } from "@aws-sdk/client-ec2";
import type { Machine, MachineState } from "../cloud.ts";
import { CloudError } from "../errors.ts";
import { stateReason } from "./state-reasons.ts";
import { DATA_DEVICE } from "./volumes.ts";

const STATES: ReadonlySet<string> = new Set<MachineState>([
  "pending",
  "running",
  "stopping",
  "stopped",
  "shutting-down",
  "terminated",
]);

function isState(name: string | undefined): name is MachineState {
  return name !== undefined && STATES.has(name);
}

/**
 * An instance as the SDK returns it, in the operator's words.
 *
 * @throws CloudError `MalformedAnswer` when it lacks an ID or a known state
 */
export function toMachine(instance: Instance): Machine {
  const { InstanceId: id, State, StateReason, PrivateIpAddress: address, ClientToken: token } = instance;
  const state = State?.Name;
  if (id === undefined || !isState(state)) {
    throw new CloudError({
      code: "MalformedAnswer",
      class: "server",
      reason: "CloudUnavailable",
      message: `EC2 described an instance without ID or with the unknown state ${String(state)}; check the endpoint`,
    });
  }
  const tags = (instance.Tags ?? []).map(({ Key, Value }) => [Key ?? "", Value ?? ""] as const);
  return {
    id,
    state,
    type: instance.InstanceType ?? "",
    zone: instance.Placement?.AvailabilityZone ?? "",
    image: instance.ImageId ?? "",
    launchedAt: instance.LaunchTime?.toISOString() ?? "",
    hibernationConfigured: instance.HibernationOptions?.Configured ?? false,
    volumes: (instance.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) =>
      DeviceName === DATA_DEVICE && Ebs?.VolumeId !== undefined && Ebs.Status?.startsWith("attach") === true
        ? [Ebs.VolumeId]
        : [],
    ),
    tags: Object.fromEntries(tags),
    ...(address === undefined ? {} : { address }),
    ...(token === undefined || token === "" ? {} : { clientToken: token }),
    ...(StateReason?.Code === undefined
      ? {}
      : { stateReason: stateReason(StateReason.Code, StateReason.Message ?? "") }),
  };
}
