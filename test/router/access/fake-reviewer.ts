import type { CallOptions } from "../../../src/kube/client.ts";
import { KubeError } from "../../../src/kube/errors.ts";
import type { KubeObject, ResourceType } from "../../../src/kube/objects.ts";
import type { VirtualClock } from "../../support/virtual-clock.ts";

type Answer = (review: KubeObject) => Promise<KubeObject>;

/** What a token stands for; a partial status of a TokenReview. */
export interface TokenStatus {
  readonly authenticated?: boolean;
  readonly user?: object;
  readonly audiences?: readonly string[];
  readonly error?: string;
}

/**
 * An API server that answers reviews, in memory and under a virtual clock. Calls can be held and let go, fail, or stay
 * without an answer until the caller's time is up.
 */
export class FakeReviewer {
  /** Status for each token; other tokens are nobody's. */
  readonly tokens = new Map<string, TokenStatus>();
  /** "user namespace/name" of what is allowed. */
  readonly allowed = new Set<string>();
  /** Reviews that arrived. */
  readonly received: { readonly kind: string; readonly spec: Readonly<Record<string, unknown>> }[] = [];
  /** Stands before each answer: may throw, or return a promise. */
  before: () => Promise<void> | void = () => {};
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** A token of `name` for the default audience. */
  addUser(token: string, name: string, groups: readonly string[] = []): void {
    this.tokens.set(token, {
      authenticated: true,
      user: { username: name, groups },
      audiences: ["satellites.dev"],
    });
  }

  count(kind: "TokenReview" | "SubjectAccessReview"): number {
    return this.received.filter((review) => review.kind === kind).length;
  }

  /** Never answers: the call ends when its time is up, as HttpKubeClient ends it. */
  fallSilent(): void {
    this.before = () => new Promise(() => {});
  }

  async create<T extends KubeObject>(
    type: ResourceType,
    review: T,
    { timeoutMs = 10_000 }: CallOptions = {},
  ): Promise<T> {
    const spec = Reflect.get(review, "spec") as Record<string, unknown>;
    this.received.push({ kind: type.kind, spec });
    const late = Promise.withResolvers<never>();
    const timer = this.#clock.setTimer(timeoutMs, () => late.reject(failure("Timeout", 0)));
    try {
      await Promise.race([this.before(), late.promise]);
    } finally {
      timer.cancel();
    }
    const answer: Answer = type.kind === "TokenReview" ? this.#token : this.#access;
    return (await answer(review)) as T;
  }

  #token: Answer = async (review) => {
    const { token } = Reflect.get(review, "spec") as { token: string };
    return {
      ...review,
      status: this.tokens.get(token) ?? { user: {}, error: `invalid bearer token ${token}` },
    };
  };

  #access: Answer = async (review) => {
    const { user, resourceAttributes } = Reflect.get(review, "spec") as {
      user: string;
      resourceAttributes: Record<string, string>;
    };
    const { namespace = "", name = "" } = resourceAttributes;
    return { ...review, status: { allowed: this.allowed.has(`${user} ${namespace}/${name}`) } };
  };
}

export function failure(reason: string, status: number): KubeError {
  return new KubeError({ reason, status, message: `${reason} by the test` });
}
