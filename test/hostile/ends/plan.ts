import { momentsOf, type Conversation } from "./conversations.ts";

/** How a peer ends its connection. */
export const ENDS = [
  /** Its side first: it reads on. TLS says close_notify before. */
  "half-close",
  /** Both sides: what comes later is answered by a reset. */
  "close",
  /** A reset, by SO_LINGER of 0. */
  "reset",
  /** TCP alone ends, without TLS's close_notify; the same as a half-close where there is no TLS. */
  "cut",
  /** TLS ends, and TCP does not; the same as silence where there is no TLS. */
  "close_notify",
  /** Nothing for a while, then a reset. */
  "silence",
] as const;
export type End = (typeof ENDS)[number];

/** What the client waits for between its last byte and the end. */
export const WAITS = ["nothing", "a turn", "the first bytes", "an answer", "a while"] as const;
export type Wait = (typeof WAITS)[number];

/** One connection and its end. */
export interface EndPlan {
  readonly conversation: Conversation;
  /** Bytes of the conversation that are sent. */
  readonly offset: number;
  readonly wait: Wait;
  readonly end: End;
  /** Where what is sent is cut, each part in a write of its own. */
  readonly cuts: readonly number[];
  /** Whether the client leaves unread what comes. */
  readonly isDeaf: boolean;
}

/** Every conversation at every moment, with every wait and end. */
export function enumeratedPlans(conversations: readonly Conversation[]): EndPlan[] {
  return conversations.flatMap((conversation) =>
    momentsOf(conversation).flatMap((offset) =>
      WAITS.flatMap((wait) =>
        ENDS.map((end) => ({ conversation, offset, wait, end, cuts: [], isDeaf: false })),
      ),
    ),
  );
}

/** Any of the conversations, cut anywhere. */
export function randomPlan(random: () => number, conversations: readonly Conversation[]): EndPlan {
  const conversation = pick(random, conversations);
  const total = conversation.pieces.reduce((sum, { length }) => sum + length, 0);
  const offset = random() < 0.5 ? pick(random, momentsOf(conversation)) : below(random, total + 1);
  const cuts = Array.from({ length: below(random, 4) }, () => below(random, offset + 1));
  return {
    conversation,
    offset,
    wait: pick(random, WAITS),
    end: pick(random, ENDS),
    cuts: cuts.toSorted((left, right) => left - right),
    isDeaf: random() < 0.1,
  };
}

/** A whole conversation whose client waits: the other end comes first, if any does. */
export function patientPlan(random: () => number, conversations: readonly Conversation[]): EndPlan {
  const plan = randomPlan(random, conversations);
  const offset = plan.conversation.pieces.reduce((sum, { length }) => sum + length, 0);
  return { ...plan, offset, wait: "an answer", isDeaf: false };
}

/** In an order that a seed decides. */
export function shuffled<T>(random: () => number, items: readonly T[]): T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = below(random, last + 1);
    const [left, right] = [order[last], order[other]];
    if (left !== undefined && right !== undefined) {
      order[last] = right;
      order[other] = left;
    }
  }
  return order;
}

export function describePlan({ conversation, offset, wait, end, cuts, isDeaf }: EndPlan): string {
  return (
    `${conversation.name}: ${offset} bytes${cuts.length > 0 ? ` cut at ${cuts.join(", ")}` : ""}, ` +
    `${wait}, ${end}${isDeaf ? ", deaf" : ""}`
  );
}

export const below = (random: () => number, limit: number): number => Math.floor(random() * limit);

export function pick<T>(random: () => number, choices: readonly T[]): T {
  const chosen = choices[below(random, choices.length)];
  if (chosen === undefined) {
    throw new Error("there is nothing to choose from");
  }
  return chosen;
}
