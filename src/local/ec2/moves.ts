import { toError } from "../../base/errors.ts";
import type { Instance } from "./instance.ts";
import type { Instances } from "./instances.ts";

/** Carries one move of an instance out; returns what of its record changes when it is done. */
export type Move = () => Promise<Partial<Instance>>;

/**
 * The moves of instances that are under way. Those of one instance are carried out in order, one at a time, unless one is to
 * pass the others. What came of a move is written down, unless a later one has begun meanwhile.
 */
export class Moves {
  readonly #instances: Instances;
  readonly #onFailure: (instance: Instance, error: Error) => void;
  readonly #underWay = new Map<string, Promise<void>>();
  #isClosed = false;

  /** @param onFailure called with what a move threw, and with the instance as it was when the move began */
  constructor(instances: Instances, onFailure: (instance: Instance, error: Error) => void) {
    this.#instances = instances;
    this.#onFailure = onFailure;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends the writing of what happens from now on. */
  close(): void {
    this.#isClosed = true;
  }

  /** Resolves when no move is under way. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) {
      await Promise.all(this.#underWay.values());
    }
  }

  /** Carries a move out after those of the same instance that are under way. */
  inOrder(instance: Instance, move: Move): void {
    this.afterOthers(instance.id, () => this.#settle(instance, move));
  }

  /** Carries a move out at once, beside any that is under way. */
  atOnce(instance: Instance, move: Move): void {
    const before = this.#underWay.get(instance.id) ?? Promise.resolve();
    const both = async (): Promise<void> => {
      await Promise.all([before, this.#settle(instance, move)]);
    };
    this.#track(instance.id, both());
  }

  /** Runs a task after the moves of an instance that are under way. The task must not reject. */
  afterOthers(id: string, task: () => Promise<void>): void {
    const before = this.#underWay.get(id) ?? Promise.resolve();
    this.#track(id, before.then(task));
  }

  /** Whether no later move of the instance has begun. */
  isCurrent(instance: Instance): boolean {
    return (
      !this.#isClosed &&
      this.#instances.has(instance.id) &&
      this.#instances.truth(instance.id).transition === instance.transition
    );
  }

  #track(id: string, task: Promise<void>): void {
    const tracked = task.finally(() => {
      if (this.#underWay.get(id) === tracked) {
        this.#underWay.delete(id);
      }
    });
    this.#underWay.set(id, tracked);
  }

  /** Never rejects. */
  async #settle(instance: Instance, move: Move): Promise<void> {
    if (!this.isCurrent(instance)) {
      return;
    }
    try {
      const outcome = await move();
      if (this.isCurrent(instance)) {
        this.#instances.change(instance.id, outcome);
      }
    } catch (error) {
      this.#onFailure(instance, toError(error));
    }
  }
}
