import { DescribeInstancesCommand, type Instance } from "@aws-sdk/client-ec2";
import type { LaunchPlan, Machine } from "../cloud.ts";
import { Tag } from "../tags.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import type { MachineSnapshot } from "./machine-snapshot.ts";
import { toMachine } from "./machine.ts";

const READ_TIMEOUT_MS = 15_000;
/** Most that EC2 gives per page. */
const PAGE_SIZE = 1_000;

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
    const command = new DescribeInstancesCommand({ InstanceIds: [...ids] });
    const { Reservations = [] } = await this.#calls.callWithToken({
      action: "DescribeInstances",
      bucket: "DescribeInstances",
      kind: "read",
      priority: "wake",
      timeoutMs: READ_TIMEOUT_MS,
      send: (abortSignal) => this.#clients.read.send(command, { abortSignal }),
    });
    const instances = Reservations.flatMap(({ Instances }) => Instances ?? []);
    const machines = new Map(instances.map(toMachine).map((machine) => [machine.id, machine]));
    for (const id of ids) {
      this.#snapshot.set(id, machines.get(id), mark);
    }
    return machines;
  }

  /** By a filter, which EC2 does not refuse for an ID that there is not. A token was taken for it. */
  async lookUp(ids: readonly string[]): Promise<ReadonlyMap<string, Machine>> {
    const command = new DescribeInstancesCommand({
      Filters: [{ Name: "instance-id", Values: [...ids] }],
      MaxResults: PAGE_SIZE,
    });
    const { Reservations = [] } = await this.#calls.callWithToken({
      action: "DescribeInstances",
      bucket: "DescribeInstancesFiltered",
      kind: "read",
      priority: "housekeeping",
      timeoutMs: READ_TIMEOUT_MS,
      send: (abortSignal) => this.#clients.read.send(command, { abortSignal }),
    });
    const machines = Reservations.flatMap(({ Instances }) => Instances ?? []).map(toMachine);
    return new Map(machines.map((machine) => [machine.id, machine]));
  }

  async #describePage(
    filters: readonly { readonly Name: string; readonly Values: string[] }[],
    token: string | undefined,
  ): Promise<{ readonly instances: Instance[]; readonly NextToken: string | undefined }> {
    const command = new DescribeInstancesCommand({
      Filters: [...filters],
      MaxResults: PAGE_SIZE,
      ...(token === undefined ? {} : { NextToken: token }),
    });
    const { Reservations = [], NextToken } = await this.#calls.call({
      action: "DescribeInstances",
      bucket: "DescribeInstancesFiltered",
      kind: "read",
      priority: "housekeeping",
      timeoutMs: READ_TIMEOUT_MS,
      send: (abortSignal) => this.#clients.read.send(command, { abortSignal }),
    });
    return {
      instances: Reservations.flatMap(({ Instances }) => Instances ?? []),
      NextToken: NextToken === "" ? undefined : NextToken,
    };
  }

  /** All machines of the cluster, read now and complete. */
  async list(): Promise<Machine[]> {
    const mark = this.#snapshot.mark();
    const machines: Machine[] = [];
    let NextToken: string | undefined;
    do {
      const page = await this.#describePage(
        [{ Name: `tag:${Tag.cluster}`, Values: [this.#cluster] }],
        NextToken,
      );
      machines.push(...page.instances.map(toMachine));
      ({ NextToken } = page);
    } while (NextToken !== undefined);
    this.#snapshot.replace(machines, mark);
    return machines;
  }

  /** What the plan's token has launched, as far as it is visible. */
  async withToken({ token, zone }: LaunchPlan): Promise<readonly Instance[]> {
    const { instances } = await this.#describePage(
      [
        { Name: "client-token", Values: [token] },
        { Name: "availability-zone", Values: [zone] },
      ],
      undefined,
    );
    return instances;
  }
}
