import { parseLabelSelector, type Labels } from "../../src/base/label-selector.ts";
import { Tag } from "../../src/machines/tags.ts";
import { HANDOVER_MS } from "../../src/operator/shard.ts";
import type { World } from "./world.ts";

/** Whose a namespace was from a time on. */
interface Reign {
  readonly shard: number;
  readonly sinceMs: number;
}

/** Whose each namespace is by the labels that it has, which processes hear of later. One that was never noted has none. */
export class Territories {
  readonly #selectors: readonly ((labels: Labels) => boolean)[];
  readonly #reigns = new Map<string, Reign[]>();

  /** @param selectors of the shards; one for everything when absent */
  constructor(selectors: readonly string[] = [""]) {
    this.#selectors = selectors.map(parseLabelSelector);
  }

  /** How many shards there are. */
  get shards(): number {
    return this.#selectors.length;
  }

  note(namespace: string, labels: Labels, atMs: number): void {
    const shard = this.#selectors.findIndex((selects) => selects(labels));
    const reigns = this.#reigns.get(namespace) ?? [];
    this.#reigns.set(namespace, [...reigns, { shard, sinceMs: reigns.length === 0 ? -Infinity : atMs }]);
  }

  /** The shard whose labels a namespace had at a time. */
  ownerAt(namespace: string, atMs: number): number {
    return this.#reignAt(namespace, atMs).shard;
  }

  /** Since when it is whose it is; -Infinity where it was never another's. */
  sinceMs(namespace: string): number {
    return this.#reignAt(namespace, Infinity).sinceMs;
  }

  /** Which shard a process belongs to; undefined for one that is no operator. */
  shardOf(process: string): number | undefined {
    const index = /^operator-(\d+)$/.exec(process)?.[1];
    return index === undefined ? undefined : Number(index) % this.shards;
  }

  #reignAt(namespace: string, atMs: number): Reign {
    const reigns = this.#reigns.get(namespace) ?? [];
    const first = this.#selectors.findIndex((selects) => selects({}));
    return reigns.findLast(({ sinceMs }) => sinceMs <= atMs) ?? { shard: first, sinceMs: -Infinity };
  }
}

/** What an operator did for one satellite, or (without a namespace) for a class. */
interface Act {
  readonly process: string;
  readonly shard: number;
  readonly atMs: number;
  readonly namespace: string | undefined;
  readonly text: string;
}

/**
 * Nobody acts in the namespace of another: who has lost one may go on until it has heard of it, but not after the other has begun;
 * and classes are the first one's.
 */
export function judgeTerritories(world: World): void {
  const { territories, oracles } = world;
  if (territories.shards === 1) {
    return;
  }
  const acts = actsOf(world);
  for (const act of acts) {
    const { process, shard, atMs, namespace, text } = act;
    const what = `9: at ${Math.round(atMs)} ms ${process} did "${text}"`;
    if (namespace === undefined) {
      if (shard !== territories.ownerAt("", atMs)) {
        oracles.violate(`${what}, which is another shard's class`);
      }
      continue;
    }
    if (territories.ownerAt(namespace, atMs) === shard) {
      continue;
    }
    const hadIt = territories.ownerAt(namespace, atMs - HANDOVER_MS) === shard;
    const begun = acts.find(
      (other) =>
        other.namespace === namespace &&
        other.atMs < atMs &&
        other.atMs > atMs - HANDOVER_MS &&
        other.shard === territories.ownerAt(namespace, atMs) &&
        territories.ownerAt(namespace, other.atMs) === other.shard,
    );
    if (!hadIt || begun !== undefined) {
      const why =
        begun === undefined ? "was never its" : `${begun.process} has begun with at ${begun.atMs} ms`;
      oracles.violate(`${what} in ${namespace}, which ${why}`);
    }
  }
}

/** What operators sent to change something. */
function actsOf(world: World): Act[] {
  const { territories, trace, model } = world;
  const namespaces = new Map(world.everNamed);
  return trace.entries.flatMap(({ kind, process, text, atMs }) => {
    const shard = territories.shardOf(process);
    if (kind !== "effect" || shard === undefined) {
      return [];
    }
    const act = { process, shard, atMs, text };
    const written = /^PATCH ([^/ ]+)/.exec(text)?.[1];
    if (written !== undefined) {
      return [{ ...act, namespace: namespaces.get(written) }];
    }
    const named = text.split(" ").filter((id) => model.instances.has(id));
    return named.map((id) => ({ ...act, namespace: model.instances.truth(id).tags[Tag.namespace] }));
  });
}
