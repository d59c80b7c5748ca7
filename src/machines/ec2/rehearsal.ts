import {
  CreateTagsCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { sleep, type Clock } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { ClassFacts, ClassInspection, Machine } from "../cloud.ts";
import { CloudError } from "../errors.ts";
import { Tag } from "../tags.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Catalogue } from "./catalogue.ts";
import { BLOCK } from "./class-spec.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import { resolveLaunch, type PlanContext } from "./launch-plan.ts";
import type { LimitedAction } from "./limits.ts";
import { toRunInstances } from "./run-instances.ts";
import { toTagList } from "./tags.ts";

/** What a rehearsal is made of. */
export interface RehearsalOptions {
  readonly clients: AwsClients;
  readonly calls: Ec2Calls;
  readonly catalogue: Catalogue;
  readonly context: PlanContext;
  readonly clock: Clock;
  /** A machine of this cluster that EC2 has shown; `undefined` when there is none yet. */
  readonly anyMachine: () => Machine | undefined;
}

/** How long EC2's consent counts, in milliseconds: rights change rarely, and these calls use up limits like others. */
const CONSENT_MS = 6 * 3_600_000;
/** How long a look at a class waits for its turn and the answers, in milliseconds. Later answers count at the next look. */
const PATIENCE_MS = 20_000;
/** EC2's answer to a dry run that would have been carried out (EC2 API reference, "DryRun"). */
const CONSENT = "DryRunOperation";

/**
 * Asks EC2 by dry runs whether it would carry out the calls that a class leads to. So a missing right, or a policy of the
 * organisation, shows before the first satellite is created. EC2 judges requests by what they name, and those about an
 * instance by its tags too; so all calls but the launch are tried when there is a machine.
 *
 * A dry run does not use the key of a volume. One that cannot be used shows at the first launch, as the reason why the
 * machine ended.
 */
export class Rehearsal {
  readonly #options: RehearsalOptions;
  /** When EC2 last consented, on the monotonic clock, by what it was asked. */
  readonly #consents = new Map<string, number>();
  /** What is being asked, until its answer is heard. */
  readonly #asking = new Map<string, Promise<boolean>>();

  constructor(options: RehearsalOptions) {
    this.#options = options;
  }

  /**
   * Asks what was not asked within the last six hours; everything where the class has just been changed.
   *
   * @throws CloudError of class `permission` or `parameter` when EC2 would refuse
   */
  async check({ classSpec, types, isFresh }: ClassInspection, facts: ClassFacts): Promise<void> {
    const machine = this.#options.anyMachine();
    const subject = JSON.stringify([classSpec[BLOCK], types]);
    for (const architecture of facts.architectures) {
      await this.#ask(`${architecture} ${subject}`, isFresh, () =>
        this.#launch(classSpec, types, architecture),
      );
    }
    if (machine !== undefined) {
      await this.#ask("changes", isFresh, () => this.#changes(machine));
    }
  }

  async #ask(question: string, isFresh: boolean | undefined, ask: () => Promise<boolean>): Promise<void> {
    const { clock } = this.#options;
    const askedAtMs = this.#consents.get(question);
    if (isFresh !== true && askedAtMs !== undefined && clock.monotonicMs() - askedAtMs < CONSENT_MS) {
      return;
    }
    this.#consents.delete(question);
    const asking = this.#asking.get(question) ?? ask();
    this.#asking.set(question, asking);
    const patience = new AbortController();
    // Launches may keep this waiting for minutes, and the class must not wait for so long.
    const waited = sleep(clock, PATIENCE_MS, patience.signal).then(
      () => undefined,
      () => undefined,
    );
    try {
      const consents = await Promise.race([asking, waited]);
      if (consents === undefined) {
        return;
      }
      if (consents) {
        this.#consents.set(question, clock.monotonicMs());
      }
      this.#asking.delete(question);
    } catch (error) {
      this.#asking.delete(question);
      throw error;
    } finally {
      patience.abort();
    }
  }

  /** Whether EC2 has consented to launch a machine of the class; not when it could not be asked. */
  async #launch(
    classSpec: ClassInspection["classSpec"],
    types: readonly string[],
    architecture: string,
  ): Promise<boolean> {
    const { catalogue, context, clients } = this.#options;
    // A machine of no satellite, with the tags that policies ask for.
    const owner = { namespace: "satellites", name: "dry-run", uid: "00000000-0000-0000-0000-000000000000" };
    const request = {
      owner,
      classSpec,
      types,
      architecture: architecture as "amd64" | "arm64",
      hibernate: true,
    };
    const rest = { attempt: 0, combination: 0, userData: "" };
    const { plan } = await resolveLaunch({ ...request, ...rest }, catalogue, context);
    const { rootDeviceName } = await catalogue.imageFacts(plan.image);
    const input = { ...toRunInstances(plan, rootDeviceName, ""), DryRun: true };
    return this.#dryRun("RunInstances", (abortSignal) =>
      clients.housekeeping.send(new RunInstancesCommand(input), { abortSignal }),
    );
  }

  /** Whether EC2 has consented to all that is done to a machine. */
  async #changes({ id, tags }: Machine): Promise<boolean> {
    const { housekeeping } = this.#options.clients;
    const named = { InstanceIds: [id], DryRun: true };
    const tagged = {
      Resources: [id],
      Tags: toTagList({ [Tag.cluster]: tags[Tag.cluster] ?? "" }),
      DryRun: true,
    };
    const answers = [
      await this.#dryRun("StartInstances", (abortSignal) =>
        housekeeping.send(new StartInstancesCommand(named), { abortSignal }),
      ),
      await this.#dryRun("StopInstances", (abortSignal) =>
        housekeeping.send(new StopInstancesCommand(named), { abortSignal }),
      ),
      await this.#dryRun("TerminateInstances", (abortSignal) =>
        housekeeping.send(new TerminateInstancesCommand(named), { abortSignal }),
      ),
      await this.#dryRun("CreateTags", (abortSignal) =>
        housekeeping.send(new CreateTagsCommand(tagged), { abortSignal }),
      ),
    ];
    return answers.every(Boolean);
  }

  /**
   * Makes one dry run, after everything else that waits for the action's bucket.
   *
   * @returns whether EC2 would carry it out; false when its answer says nothing about that
   * @throws CloudError when it would not
   */
  async #dryRun(action: LimitedAction, send: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    try {
      return await this.#options.calls.call({
        action,
        bucket: action,
        kind: "change",
        priority: "housekeeping",
        send: (signal) => send(signal).then(notDry, consentOf),
      });
    } catch (error) {
      if (error instanceof CloudError && error.class !== "permission" && error.class !== "parameter") {
        return false;
      }
      throw error;
    }
  }
}

/** EC2 answers every dry run with an error. Anything else is not EC2's answer, and says nothing about rights. */
const notDry = (): boolean => false;

function consentOf(thrown: unknown): boolean {
  const error = toError(thrown);
  if (Reflect.get(error, "Code") === CONSENT || error.name === CONSENT) {
    return true;
  }
  throw error;
}
