import {
  DescribeInstancesCommand,
  type DescribeInstancesCommandInput,
  type Instance,
} from "@aws-sdk/client-ec2";
import type { LaunchPlan, Machine } from "../cloud.ts";
import { Tag } from "../tags.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import type { MachineSnapshot } from "./machine-snapshot.ts";
import { toMachine } from "./machine.ts";
import { allPages, pageOf, type Page } from "./pages.ts";

/** Most that EC2 gives per page. */
const PAGE_SIZE = 1_000;

/** Reads by ID, which somebody waits for. */
const BY_ID = { bucket: "DescribeInstances", priority: "wake" } as const;
/** Reads by filter, which have a bucket of their own. */
const BY_FILTER = { bucket: "DescribeInstancesFiltered", priority: "housekeeping" } as const;

/** The ways in which instances are read; what is read goes into the snapshot. */
export class InstanceReads {
  readonly #clients: AwsClients;
  readonly #calls: Ec2Calls;
  readonly #snapshot: MachineSnapshot;
  readonly #cluster: string;

  /** @param cluster UID of the cluster's kube-system namespace; only machines with this tag are listed */
  constructor(clients: AwsClients, calls: Ec2Calls, snapshot: MachineSnapshot, cluster: string) {
    this.#clients = clients;
    this.#calls = calls;
    this.#snapshot = snapshot;
    this.#cluster = cluster;
  }

  /** Instances by ID, read now. A token was taken for it. */
  async describe(ids: readonly string[]): Promise<ReadonlyMap<string, Machine>> {
    const mark = this.#snapshot.mark();
    const { items } = await this.#describe({ InstanceIds: [...ids] }, BY_ID, "has a token");
    const machines = byID(items);
    for (const id of ids) {
      this.#snapshot.set(id, machines.get(id), mark);
    }
    return machines;
  }

  /** By a filter, since EC2 refuses to describe IDs that do not exist. A token was taken for it. */
  async lookUp(ids: readonly string[]): Promise<ReadonlyMap<string, Machine>> {
    const Filters = [{ Name: "instance-id", Values: [...ids] }];
    const { items } = await this.#describe({ Filters, MaxResults: PAGE_SIZE }, BY_FILTER, "has a token");
    return byID(items);
  }

  async #describe(
    input: DescribeInstancesCommandInput,
    how: typeof BY_ID | typeof BY_FILTER,
    token: "has a token" | "waits for one",
  ): Promise<Page<Instance>> {
    const call = {
      ...how,
      action: "DescribeInstances",
      kind: "read",
      send: (abortSignal: AbortSignal) =>
        this.#clients.read.send(new DescribeInstancesCommand(input), { abortSignal }),
    } as const;
    const { Reservations = [], NextToken } =
      token === "has a token" ? await this.#calls.callWithToken(call) : await this.#calls.call(call);
    return { items: Reservations.flatMap(({ Instances }) => Instances ?? []), nextToken: NextToken };
  }

  /** All machines of the cluster, read now and complete. */
  async list(): Promise<Machine[]> {
    const mark = this.#snapshot.mark();
    const Filters = [{ Name: `tag:${Tag.cluster}`, Values: [this.#cluster] }];
    const instances = await allPages((token) =>
      this.#describe({ Filters, MaxResults: PAGE_SIZE, ...pageOf(token) }, BY_FILTER, "waits for one"),
    );
    const machines = instances.map(toMachine);
    this.#snapshot.replace(machines, mark);
    return machines;
  }

  /** The instances that the plan's token has launched, as far as they are visible. */
  async withToken({ token, zone }: LaunchPlan): Promise<readonly Instance[]> {
    const Filters = [
      { Name: "client-token", Values: [token] },
      { Name: "availability-zone", Values: [zone] },
    ];
    const { items } = await this.#describe({ Filters, MaxResults: PAGE_SIZE }, BY_FILTER, "waits for one");
    return items;
  }
}

function byID(instances: readonly Instance[]): ReadonlyMap<string, Machine> {
  return new Map(instances.map(toMachine).map((machine) => [machine.id, machine]));
}
