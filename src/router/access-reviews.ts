import type { Clock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { KubeError } from "../kube/errors.ts";
import type { KubeObject, ResourceType } from "../kube/objects.ts";
import type { Logger } from "../telemetry/logger.ts";

/** Somebody as Kubernetes knows them. */
export interface Subject {
  readonly username: string;
  readonly groups: readonly string[];
  readonly uid?: string;
  /** What the authenticator adds, for example the pod of a service account's token. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** What became of a token: somebody's, nobody's (for our audience, at this time), or not found out. */
export type TokenVerdict =
  | { readonly kind: "known"; readonly subject: Subject }
  | { readonly kind: "rejected" }
  | { readonly kind: "failed"; readonly error: Error };

/** What became of a question for permission. */
export type PermissionVerdict =
  | { readonly kind: "allowed" | "denied" }
  | { readonly kind: "failed"; readonly error: Error };

/** Options of {@link AccessReviews}. */
export interface AccessReviewsOptions {
  /** Best one of its own: a flood of reviews must not hold up wakes and leases. */
  readonly client: Pick<KubeClient, "create">;
  /** Audiences of which a token must have one. */
  readonly audiences: readonly string[];
  /** Milliseconds after which a review counts as failed. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once per review with what came of it. */
  readonly onReview?: (review: "token" | "access", result: string) => void;
}

interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string; readonly audiences: readonly string[] };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: {
      readonly username?: string;
      readonly uid?: string;
      readonly groups?: readonly string[];
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    };
    readonly audiences?: readonly string[];
    readonly error?: string;
  };
}

interface SubjectAccessReview extends KubeObject {
  readonly spec: {
    readonly user: string;
    readonly groups: readonly string[];
    readonly uid?: string;
    readonly extra?: Readonly<Record<string, readonly string[]>>;
    readonly resourceAttributes: Readonly<Record<string, string>>;
  };
  readonly status?: {
    readonly allowed?: boolean;
    readonly denied?: boolean;
    readonly evaluationError?: string;
  };
}

const TOKEN_REVIEW: ResourceType = {
  group: "authentication.k8s.io",
  version: "v1",
  kind: "TokenReview",
  plural: "tokenreviews",
  namespaced: false,
};

const SUBJECT_ACCESS_REVIEW: ResourceType = {
  group: "authorization.k8s.io",
  version: "v1",
  kind: "SubjectAccessReview",
  plural: "subjectaccessreviews",
  namespaced: false,
};

/** The API server's word for nobody in particular; not a caller whom a token could prove. */
const ANONYMOUS = "system:anonymous";
/** A review changes nothing, so one that got no answer may be made again. */
const MAX_ATTEMPTS = 2;
/** Answers that say something about the token and not about the API server or the router's rights. */
const TOKEN_REFUSALS: ReadonlySet<number> = new Set([400, 413, 422]);
/** Callers decide how many reviews fail while the API server is down; the log is not theirs to fill. */
const LOG_INTERVAL_MS = 10_000;

/** Asks the API server who somebody is and what they may do. Nothing here throws: no answer is `failed`. */
export class AccessReviews {
  readonly #options: AccessReviewsOptions;
  #failureLoggedAtMs = -Infinity;

  constructor(options: AccessReviewsOptions) {
    this.#options = options;
  }

  /**
   * TokenReview. The audiences of the answer are checked, too: a token authenticator that does not know audiences
   * returns none, and its word would hold for any service (Kubernetes API reference, TokenReviewStatus `audiences`).
   */
  async reviewToken(token: string): Promise<TokenVerdict> {
    const verdict = await this.#tokenVerdict(token);
    this.#options.onReview?.("token", verdict.kind);
    return verdict;
  }

  /** SubjectAccessReview: may the subject `create` satellites/connect of that name? */
  async reviewPermission(
    subject: Subject,
    satellite: { readonly namespace: string; readonly name: string },
  ): Promise<PermissionVerdict> {
    const verdict = await this.#permissionVerdict(subject, satellite);
    this.#options.onReview?.("access", verdict.kind);
    return verdict;
  }

  async #tokenVerdict(token: string): Promise<TokenVerdict> {
    const { audiences, logger } = this.#options;
    let status: TokenReview["status"];
    try {
      ({ status } = await this.#create<TokenReview>(TOKEN_REVIEW, {
        metadata: { name: "" },
        spec: { token, audiences },
      }));
    } catch (thrown) {
      if (thrown instanceof KubeError && TOKEN_REFUSALS.has(thrown.status)) {
        return { kind: "rejected" };
      }
      return this.#failed("tokenreviews", thrown);
    }
    const { username } = status?.user ?? {};
    if (
      status?.authenticated !== true ||
      username === undefined ||
      username === "" ||
      username === ANONYMOUS
    ) {
      // The API server's words could contain what it was given.
      logger.debug("a token was not accepted", { why: status?.error?.replaceAll(token, "<token>") });
      return { kind: "rejected" };
    }
    if (status.audiences?.some((audience) => audiences.includes(audience)) !== true) {
      logger.warn("a token was accepted without regard to its audience, and is refused", { audiences });
      return { kind: "rejected" };
    }
    const { uid, groups = [], extra } = status.user ?? {};
    return {
      kind: "known",
      subject: {
        username,
        groups,
        ...(uid === undefined || uid === "" ? {} : { uid }),
        ...(extra === undefined ? {} : { extra }),
      },
    };
  }

  async #permissionVerdict(
    { username, groups, uid, extra }: Subject,
    { namespace, name }: { readonly namespace: string; readonly name: string },
  ): Promise<PermissionVerdict> {
    try {
      const { status } = await this.#create<SubjectAccessReview>(SUBJECT_ACCESS_REVIEW, {
        metadata: { name: "" },
        spec: {
          user: username,
          groups,
          ...(uid === undefined ? {} : { uid }),
          ...(extra === undefined ? {} : { extra }),
          resourceAttributes: {
            group: "satellites.dev",
            resource: "satellites",
            subresource: "connect",
            verb: "create",
            namespace,
            name,
          },
        },
      });
      return { kind: status?.allowed === true && status.denied !== true ? "allowed" : "denied" };
    } catch (thrown) {
      return this.#failed("subjectaccessreviews", thrown);
    }
  }

  async #create<T extends KubeObject>(type: ResourceType, review: T): Promise<T> {
    const { client, timeoutMs } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return await client.create(type, review, { timeoutMs });
      } catch (error) {
        const mayRepeat = error instanceof KubeError && error.reason === "Unreachable";
        if (!mayRepeat || attempt >= MAX_ATTEMPTS) {
          throw error;
        }
      }
    }
  }

  #failed(plural: string, thrown: unknown): { readonly kind: "failed"; readonly error: Error } {
    const error = toError(thrown);
    const advice =
      thrown instanceof KubeError && thrown.status === 403
        ? `; let the router's service account create ${plural} (the chart's ClusterRole does)`
        : "";
    const { clock, logger } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#failureLoggedAtMs >= LOG_INTERVAL_MS) {
      this.#failureLoggedAtMs = nowMs;
      logger.error(`an access check failed, so requests are refused${advice}`, { error });
    }
    return { kind: "failed", error };
  }
}
