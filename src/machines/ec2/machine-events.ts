import { DescribeInstanceStatusCommand, type InstanceStatus } from "@aws-sdk/client-ec2";
import type { MachineEvent } from "../cloud.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import { allPages, pageOf } from "./pages.ts";

/** Kinds of events (EC2 user guide, "Types of scheduled events"); a stop and a start avoids each of them. */
const EVENT_CODES = [
  "instance-reboot",
  "instance-retirement",
  "instance-stop",
  "system-maintenance",
  "system-reboot",
];

/** EC2 still lists events for a week after they are over, with one of these before the description. */
const OVER = /^\[(?:Completed|Canceled)\]/;

const PAGE_SIZE = 1_000;

/**
 * Events that are still to come for running instances of the account and region. EC2 cannot filter them by tag. A filter by
 * kind leaves the few instances that have an event, so that one call is enough for any number of machines.
 *
 * @throws CloudError
 */
export async function readEvents(clients: AwsClients, calls: Ec2Calls): Promise<MachineEvent[]> {
  const statuses = await allPages(async (token) => {
    const command = new DescribeInstanceStatusCommand({
      Filters: [{ Name: "event.code", Values: EVENT_CODES }],
      MaxResults: PAGE_SIZE,
      ...pageOf(token),
    });
    const { InstanceStatuses = [], NextToken } = await calls.call({
      action: "DescribeInstanceStatus",
      bucket: "Other",
      kind: "read",
      priority: "housekeeping",
      send: (abortSignal) => clients.read.send(command, { abortSignal }),
    });
    return { items: InstanceStatuses, nextToken: NextToken };
  });
  return statuses.flatMap(eventsOf);
}

function eventsOf({ InstanceId: machine = "", Events = [] }: InstanceStatus): MachineEvent[] {
  return Events.flatMap(({ Code, Description = "", InstanceEventId, NotBefore }) =>
    Code === undefined || NotBefore === undefined || OVER.test(Description)
      ? []
      : [
          {
            id: InstanceEventId ?? `${machine}/${Code}/${NotBefore.toISOString()}`,
            machine,
            code: Code,
            description: Description,
            notBefore: NotBefore.toISOString(),
          },
        ],
  );
}
