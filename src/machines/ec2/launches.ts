import { RunInstancesCommand, type Instance } from "@aws-sdk/client-ec2";
import type { LaunchPlan, Machine } from "../cloud.ts";
import { CloudError } from "../errors.ts";
import { Tag } from "../tags.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import type { InstanceReads } from "./instance-reads.ts";
import type { MachineSnapshot } from "./machine-snapshot.ts";
import { isMade, madeBefore } from "./made-before.ts";
import { toMachine } from "./machine.ts";
import { toRunInstances } from "./run-instances.ts";

/** The slowest call. */
const RUN_TIMEOUT_MS = 30_000;
/**
 * EC2 takes two of these a second (EC2 developer guide, "Request throttling for the Amazon EC2 API"): a launch that must wait for longer
 * says so, and hears of changes meanwhile.
 */
const TURN_PATIENCE_MS = 30_000;

interface LaunchesOptions {
  readonly clients: AwsClients;
  readonly calls: Ec2Calls;
  readonly catalogue: Catalogue;
  readonly reads: InstanceReads;
  readonly snapshot: MachineSnapshot;
}

/** Launches by written plans, and finds what they have launched. */
export class Launches {
  readonly #options: LaunchesOptions;

  constructor(options: LaunchesOptions) {
    this.#options = options;
  }

  /**
   * Sends the plan's request. Sending it again is safe, and shows the outcome: EC2 answers with the machine that the same
   * token has launched. If EC2 takes the request for another one than before (new user data, a new version of this code),
   * the machine is looked for by the token.
   */
  async launch(plan: LaunchPlan, userData: string): Promise<Machine> {
    let instance: Instance | undefined;
    try {
      const { rootDeviceName } = await this.#options.catalogue.imageFacts(plan.image);
      const command = new RunInstancesCommand(toRunInstances(plan, rootDeviceName, userData));
      const tenant = plan.tags[Tag.namespace];
      const { Instances } = await this.#options.calls.call({
        action: "RunInstances",
        bucket: "RunInstances",
        kind: "change",
        priority: "wake",
        tenant,
        patienceMs: TURN_PATIENCE_MS,
        timeoutMs: RUN_TIMEOUT_MS,
        send: (abortSignal) => this.#options.clients.wake.send(command, { abortSignal }),
      });
      instance = Instances?.[0];
    } catch (error) {
      instance = await madeBefore(
        error,
        async () => (await this.#options.reads.withToken(plan))[0],
        (refusal, cause) => notVisible(plan, refusal, cause),
      );
    }
    const machine = toMachine(instance ?? {});
    this.#options.snapshot.changed(machine.id, machine);
    return machine;
  }

  /** The machine that the plan has launched, read now; `undefined`: none is visible. */
  async find(plan: LaunchPlan): Promise<Machine | undefined> {
    const [instance] = await this.#options.reads.withToken(plan);
    return instance === undefined ? undefined : toMachine(instance);
  }
}

function notVisible(plan: LaunchPlan, refusal: CloudError, cause: unknown): CloudError {
  const why = isMade(refusal)
    ? "EC2 has launched the machine of this attempt, but does not show it yet"
    : `the launch was refused (${refusal.code}), and EC2 does not say whether an earlier request succeeded`;
  return new CloudError({
    code: "LaunchNotVisible",
    class: "server",
    reason: "LaunchNotVisible",
    message:
      `${why}; it is looked for again. If this lasts for an hour, look in the account for the client token ` +
      plan.token,
    cause,
  });
}
