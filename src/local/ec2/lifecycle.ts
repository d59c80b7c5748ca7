import { sleep, type Clock } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Hypervisor, InstanceSpec } from "./hypervisor.ts";
import type { Instance } from "./instance.ts";
import type { Instances } from "./instances.ts";
import { Moves, type Move } from "./moves.ts";

/** What the lifecycle of instances is made of. */
export interface LifecycleOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hypervisor: Hypervisor;
  readonly instances: Instances;
  /** What the hypervisor must know to run an instance. */
  readonly specOf: (instance: Instance) => InstanceSpec;
  /** After this time a hibernated instance has lost its memory, in milliseconds. */
  readonly hibernationKeptMs: number;
}

/** How a launch or a start fails after EC2 has accepted it. */
export interface LaunchFailure {
  /** Of the StateReason (EC2 API reference, "StateReason"). */
  readonly code: string;
  readonly message: string;
  /** How long the instance is pending before, in milliseconds. */
  readonly afterMs: number;
}

const USER_SHUTDOWN = { code: "Client.UserInitiatedShutdown", message: "User initiated shutdown" };
const USER_HIBERNATE = { code: "Client.UserInitiatedHibernate", message: "User initiated hibernate" };
const GUEST_SHUTDOWN = { code: "Client.InstanceInitiatedShutdown", message: "Instance initiated shutdown" };
const SERVER_ERROR = "Server.InternalError";
/** Pause before a failed termination is tried again; nothing may be left of a terminated instance. */
const TERMINATE_RETRY_MS = 5_000;
const REBOOT_TIMEOUT_MS = 240_000;

/** Reasons for which a launch that fails leaves the instance stopped; for all others it is terminated. */
const LEAVES_STOPPED: ReadonlySet<string> = new Set([
  GUEST_SHUTDOWN.code,
  "Server.ScheduledStop",
  "Server.SpotInstanceShutdown",
]);

/** Thrown by a launch or start that a test wants to fail. */
class ScriptedFailure extends Error {
  readonly stateReason: { readonly code: string; readonly message: string };

  constructor({ code, message }: LaunchFailure) {
    super(message);
    this.stateReason = { code, message };
  }
}

/**
 * Moves instances through their states (EC2 user guide, "Instance lifecycle"): each move is first written down, then carried
 * out by the hypervisor, then written down as done. Only force passes a move that is under way.
 */
export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #moves: Moves;
  #nextFailure: LaunchFailure | undefined;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.#moves = new Moves(options.instances, (instance, error) => this.#fail(instance, error));
    options.hypervisor.onExit((id) => this.#onExit(id));
  }

  /** Makes every launch and start that begins in this turn of the event loop fail. */
  failNext(failure: LaunchFailure): void {
    this.#nextFailure = failure;
    queueMicrotask(() => {
      this.#nextFailure = undefined;
    });
  }

  /** Boots a new instance, which is already kept as pending. */
  launch(instance: Instance): void {
    const failure = this.#nextFailure;
    this.#moves.inOrder(instance, async () => {
      await this.#failAsScripted(failure);
      await this.#options.hypervisor.launch(this.#options.specOf(instance));
      return { state: "running", bootedAt: this.#now() };
    });
  }

  /** Starts a stopped instance and returns it as pending. */
  start(id: string): Instance {
    const instance = this.#begin(id, {
      state: "pending",
      stateReason: undefined,
      transitionReason: "",
      launchTime: this.#now(),
    });
    this.#discardOldMemory(instance);
    this.#continueStart(instance);
    return instance;
  }

  /** Stops a running instance and returns it as stopping. */
  stop(
    id: string,
    options: {
      readonly hibernate: boolean;
      readonly force: boolean;
      /** Default: what EC2 says where its user asked for it. */
      readonly stateReason?: Instance["stateReason"];
    },
  ): Instance {
    const instance = this.#begin(id, {
      state: "stopping",
      stateReason: options.stateReason ?? (options.hibernate ? USER_HIBERNATE : USER_SHUTDOWN),
      transitionReason: `User initiated (${this.#now()})`,
    });
    this.#continueStop(instance, options.force);
    return instance;
  }

  /** Ends a stop that is under way, without waiting for the guest. */
  force(id: string): void {
    const instance = this.#options.instances.truth(id);
    this.#moves.atOnce(instance, async () => {
      await this.#options.hypervisor.stop(id, { force: true });
      return { state: "stopped" };
    });
  }

  /** Terminates an instance in any state and returns it as shutting down. */
  terminate(id: string, stateReason = USER_SHUTDOWN): Instance {
    // A guest that hangs in its shutdown is not waited for. A boot is: it could bring back a VM that is already gone.
    const isStopping = this.#options.instances.truth(id).state === "stopping";
    const instance = this.#begin(id, {
      state: "shutting-down",
      stateReason,
      transitionReason: `User initiated (${this.#now()})`,
    });
    this.#continueTerminate(instance, isStopping);
    return instance;
  }

  /**
   * Stops and boots a running instance; its state stays `running` throughout. A guest that does not shut down
   * in four minutes is forced off (EC2 user guide, "Reboot your instance").
   */
  reboot(id: string): void {
    const { hypervisor, clock, instances } = this.#options;
    const instance = instances.truth(id);
    this.#moves.inOrder(instance, async () => {
      const forced = new AbortController();
      const force = sleep(clock, REBOOT_TIMEOUT_MS, forced.signal).then(
        () => hypervisor.stop(id, { force: true }),
        () => {},
      );
      await Promise.race([hypervisor.stop(id, { force: false }), force]);
      forced.abort();
      await this.#options.hypervisor.start(this.#options.specOf(instance));
      return { bootedAt: this.#now() };
    });
  }

  /**
   * Makes the records agree with the hypervisor after a restart: a move that was under way is carried on, and a VM that ended
   * meanwhile counts as stopped.
   */
  async reconcile(): Promise<void> {
    for (const instance of this.#options.instances.truths()) {
      if (instance.state !== "terminated") {
        await this.#reconcileOne(instance);
      }
    }
  }

  /** Resolves when no move is under way. */
  settled(): Promise<void> {
    return this.#moves.settled();
  }

  /** Ends the writing of what happens from now on; VMs stay as they are. */
  close(): void {
    this.#moves.close();
  }

  #now(): string {
    return this.#options.clock.now().toISOString();
  }

  #begin(
    id: string,
    fields: Pick<Instance, "state" | "transitionReason"> & {
      readonly stateReason: Instance["stateReason"];
      readonly launchTime?: string;
    },
  ): Instance {
    const { stateReason: _old, ...instance } = this.#options.instances.truth(id);
    const { stateReason, ...others } = fields;
    const begun: Instance = {
      ...instance,
      ...others,
      transition: instance.transition + 1,
      ...(stateReason === undefined ? {} : { stateReason }),
    };
    this.#options.instances.put(begun);
    return begun;
  }

  /** Discards memory that was kept for too long, before the boot. */
  #discardOldMemory(instance: Instance): void {
    const { clock, hypervisor, hibernationKeptMs } = this.#options;
    const { hibernatedAt } = instance;
    if (hibernatedAt !== undefined && clock.now().getTime() - Date.parse(hibernatedAt) > hibernationKeptMs) {
      this.#moves.inOrder(instance, async () => {
        await hypervisor.stop(instance.id, { force: true });
        return {};
      });
    }
  }

  #continueStart(instance: Instance): void {
    const failure = this.#nextFailure;
    this.#moves.inOrder(instance, async () => {
      await this.#failAsScripted(failure);
      const { resumed } = await this.#options.hypervisor.start(this.#options.specOf(instance));
      return { state: "running", ...(resumed ? {} : { bootedAt: this.#now() }) };
    });
  }

  async #failAsScripted(failure: LaunchFailure | undefined): Promise<void> {
    if (failure !== undefined) {
      await sleep(this.#options.clock, failure.afterMs);
      throw new ScriptedFailure(failure);
    }
  }

  #continueStop(instance: Instance, force: boolean): void {
    const hibernate = instance.stateReason?.code === USER_HIBERNATE.code;
    this.#moves.inOrder(instance, async () => {
      if (hibernate) {
        // A guest that could not hibernate was stopped; EC2 does not tell its callers either.
        const { hibernated } = await this.#options.hypervisor.hibernate(instance.id);
        this.#options.logger.debug("Hibernation ended", { instance: instance.id, hibernated });
        return { state: "stopped", hibernatedAt: this.#now() };
      }
      await this.#options.hypervisor.stop(instance.id, { force });
      return { state: "stopped" };
    });
  }

  #continueTerminate(instance: Instance, atOnce: boolean): void {
    const move: Move = async () => {
      await this.#terminateUntilGone(instance.id);
      return { state: "terminated", terminatedAt: this.#now() };
    };
    if (atOnce) {
      this.#moves.atOnce(instance, move);
    } else {
      this.#moves.inOrder(instance, move);
    }
  }

  async #terminateUntilGone(id: string): Promise<void> {
    while (!this.#moves.isClosed) {
      try {
        await this.#options.hypervisor.terminate(id);
        return;
      } catch (error) {
        this.#options.logger.error("Termination failed; it is tried again", {
          instance: id,
          error: toError(error),
        });
        await sleep(this.#options.clock, TERMINATE_RETRY_MS);
      }
    }
  }

  /**
   * A launch that fails ends the instance, a start that fails leaves it stopped, each with the reason in
   * `StateReason`; a stop that fails leaves it stopping, as a hung guest does.
   */
  #fail(instance: Instance, error: Error): void {
    this.#options.logger.error("The hypervisor failed", {
      instance: instance.id,
      state: instance.state,
      error,
    });
    if (!this.#moves.isCurrent(instance) || instance.state !== "pending") {
      return;
    }
    const stateReason =
      error instanceof ScriptedFailure
        ? error.stateReason
        : { code: SERVER_ERROR, message: `Internal error on launch: ${error.message}` };
    if (instance.bootedAt === undefined && !LEAVES_STOPPED.has(stateReason.code)) {
      this.terminate(instance.id, stateReason);
    } else {
      this.#options.instances.change(instance.id, { state: "stopped", stateReason });
    }
  }

  #onExit(id: string): void {
    if (this.#moves.isClosed || !this.#options.instances.has(id)) {
      return;
    }
    // After what is under way: a VM can end while its launch is still being written down as done.
    this.#moves.afterOthers(id, () => this.#afterExit(id));
  }

  async #afterExit(id: string): Promise<void> {
    const vm = await this.#options.hypervisor.state(id);
    if (this.#moves.isClosed || vm === "running" || !this.#options.instances.has(id)) {
      return;
    }
    const instance = this.#options.instances.truth(id);
    if (instance.state === "running") {
      this.#stoppedByGuest(instance);
    }
  }

  #stoppedByGuest(instance: Instance): void {
    if (instance.shutdownBehavior === "terminate") {
      this.terminate(instance.id, GUEST_SHUTDOWN);
      return;
    }
    this.#options.instances.change(instance.id, {
      state: "stopped",
      stateReason: GUEST_SHUTDOWN,
      transition: instance.transition + 1,
    });
  }

  async #reconcileOne(instance: Instance): Promise<void> {
    const vm = await this.#options.hypervisor.state(instance.id);
    const lost = vm === "missing" && instance.bootedAt !== undefined;
    if (lost && instance.state !== "shutting-down") {
      const message = "The instance's VM and disk are gone";
      this.terminate(instance.id, { code: SERVER_ERROR, message });
      return;
    }
    switch (instance.state) {
      case "pending":
        if (vm === "missing") {
          this.launch(instance);
        } else {
          this.#continueStart(instance);
        }
        return;
      case "running":
        if (vm !== "running") {
          this.#stoppedByGuest(instance);
        }
        return;
      case "stopping":
        if (vm === "running") {
          this.#continueStop(instance, false);
        } else {
          this.#options.instances.change(instance.id, { state: "stopped" });
        }
        return;
      case "stopped":
        if (vm === "running") {
          this.#options.instances.change(instance.id, { state: "running" });
        }
        return;
      case "shutting-down":
        this.#continueTerminate(instance, true);
        return;
      case "terminated":
        return;
    }
  }
}
