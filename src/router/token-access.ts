import { hash, randomBytes } from "node:crypto";

import type { Clock } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import { isLoopback } from "../base/loopback.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Logger } from "../telemetry/logger.ts";
import { CREDENTIAL_HEADERS, type Access, type AccessDecision, type AccessRequest } from "./access.ts";
import { AccessReviews, type PermissionVerdict, type Subject } from "./access-reviews.ts";
import type { SatelliteAddress } from "./address.ts";
import {
  CERTIFICATE_EXPIRED,
  CHECK_FAILED,
  invalidToken,
  malformedCredential,
  noCredential,
  notPermitted,
  TOO_MANY_CHECKS,
} from "./access-refusals.ts";
import type { ConnectionInfo, HeaderList } from "./engine.ts";
import { ExpiringCache, type CacheEntry, type Loaded } from "./expiring-cache.ts";
import { AUTHENTICATED_GROUP } from "./oidc/subject.ts";
import type { Refusal } from "./refusal.ts";
import { credentialOf, type FoundToken } from "./request-credential.ts";
import { tokenHint } from "./token-hint.ts";
import type { TokenIssuer, TokenJudge, TokenJudgement } from "./token-judge.ts";
import { tokenEndMs, unverifiedClaims } from "./unverified-claims.ts";

/** Options of {@link createTokenAccess}. */
export interface TokenAccessOptions {
  /** Creates TokenReviews and SubjectAccessReviews; best a client of its own. */
  readonly client: Pick<KubeClient, "create">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Audiences of which a token of the API server must have one. Default: satellites.dev. */
  readonly audiences?: readonly string[];
  /** Issuers whose tokens the API server is not asked about. */
  readonly issuers?: readonly TokenIssuer[];
  /** How long a good answer is believed, in milliseconds: so long a revoked right may go on. Default 30,000. */
  readonly allowedTtlMs?: number;
  /** How long a refusal is believed, in milliseconds: so long a new right may take. Default 5,000. */
  readonly deniedTtlMs?: number;
  /** Most answers kept, good and bad, about tokens and about rights each. Default 10,000. */
  readonly maxEntries?: number;
  /** Milliseconds after which a review counts as failed. Default 5,000. */
  readonly timeoutMs?: number;
  /** Most reviews under way; half of them for one client address, or one caller. Default 1,024. */
  readonly maxPending?: number;
  /** Let credentials travel in the clear on addresses that others reach, since something else protects the way. */
  readonly allowCleartext?: boolean;
  /** Called once per review with what came of it. */
  readonly onReview?: (review: "token" | "access", result: string) => void;
}

/** Audience of tokens for routers. */
export const DEFAULT_AUDIENCE = "satellites.dev";

const DEFAULTS = {
  audiences: [DEFAULT_AUDIENCE],
  issuers: [],
  allowedTtlMs: 30_000,
  deniedTtlMs: 5_000,
  maxEntries: 10_000,
  timeoutMs: 5_000,
  maxPending: 1_024,
} as const;

/** Longest header that is remembered with its connection: what an HPACK table holds, too. */
const MAX_RECENT_LENGTH = 4_096;
/** How long a failed review is not made again: requests of a second fail together. */
const FAILED_TTL_MS = 1_000;
/**
 * Access by Kubernetes: a bearer token that TokenReview accepts for our audience, a token of an issuer that the router
 * takes directly, or a client certificate (common name: user, organizations: groups); then a SubjectAccessReview of
 * `create` on satellites/connect. Answers are kept for a short time. Whatever cannot be found out is refused.
 */
export function createTokenAccess(options: TokenAccessOptions): Access {
  return new TokenAccess(options);
}

/** A verified caller. */
interface Caller {
  readonly subject: Subject;
  /** Stands for the whole subject in cache keys. */
  readonly key: string;
  /** When the credential itself ends, on the monotonic clock. */
  readonly endsAtMs: number;
}

type Identification =
  | { readonly kind: "caller"; readonly caller: Caller }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/**
 * Where tokens of one issuer are judged, and the answers of late. Each issuer has a desk of its own, so that one that does
 * not answer holds up no token of another.
 */
interface TokenDesk {
  readonly judge: TokenJudge;
  readonly answers: ExpiringCache<Identification>;
}

/**
 * What was worked out for a connection last. It spares hashing the same token for every request. The token stays in
 * memory no longer than its connection, whose HPACK table holds it anyway.
 */
interface Recent {
  token?: { readonly found: FoundToken; readonly key: string; readonly desk: TokenDesk };
  /** A decision that may be given again to the same header list: an engine hands it over again for the same request. */
  decided?: {
    readonly headers: HeaderList;
    readonly namespace: string;
    readonly name: string;
    readonly decision: AccessDecision;
    /** On the monotonic clock. */
    readonly untilMs: number;
  };
  /** The holder of the connection's certificate. */
  holder?: Caller;
}

type Settings = TokenAccessOptions & Required<Omit<TokenAccessOptions, "allowCleartext" | "onReview">>;

class TokenAccess implements Access {
  readonly #settings: Settings;
  readonly #reviews: AccessReviews;
  readonly #apiServer: TokenDesk;
  /** By the claim `iss`. */
  readonly #issuers: ReadonlyMap<string, TokenDesk>;
  readonly #permissions: ExpiringCache<PermissionVerdict>;
  readonly #recent = new WeakMap<ConnectionInfo, Recent>();
  /** Makes the keys of the cache useless outside this process. */
  readonly #salt = randomBytes(32).toString("base64");

  constructor(options: TokenAccessOptions) {
    this.#settings = { ...DEFAULTS, ...options };
    const { client, clock, logger, audiences, timeoutMs, maxEntries, maxPending, onReview } = this.#settings;
    this.#reviews = new AccessReviews({
      client,
      clock,
      logger,
      audiences,
      timeoutMs,
      ...(onReview === undefined ? {} : { onReview }),
    });
    const bounds = { clock, maxEntries, maxPending, maxPendingPerSource: Math.ceil(maxPending / 2) };
    const deskOf = (judge: TokenJudge): TokenDesk => ({ judge, answers: new ExpiringCache(bounds) });
    this.#apiServer = deskOf({ judge: (token) => this.#review(token) });
    this.#issuers = new Map(this.#settings.issuers.map((issuer) => [issuer.url, deskOf(issuer)]));
    this.#permissions = new ExpiringCache(bounds);
  }

  checkListener(host: string, isTls = false): void {
    if (isTls || isLoopback(host)) {
      return;
    }
    if (this.#settings.allowCleartext !== true) {
      throw new SatelliteError(
        "CleartextCredentials",
        `refusing to listen on ${host} without TLS: tokens would travel in the clear. Set --tls-cert and --tls-key, ` +
          "or, where something else protects the way to this port (a service mesh, a TLS terminator), " +
          "--insecure-cleartext",
      );
    }
    this.#settings.logger.warn(
      "tokens travel in the clear to this listener: something else must protect them",
      {
        host,
      },
    );
  }

  check(request: AccessRequest): AccessDecision | Promise<AccessDecision> {
    const { decided } = this.#recentOf(request.connection);
    if (
      decided !== undefined &&
      decided.headers === request.headers &&
      decided.namespace === request.satellite.namespace &&
      decided.name === request.satellite.name &&
      this.#settings.clock.monotonicMs() < decided.untilMs
    ) {
      return decided.decision;
    }
    const identified = this.#identify(request);
    return identified instanceof Promise
      ? identified.then((entry) => this.#authorize(request, entry))
      : this.#authorize(request, identified);
  }

  #identify({
    connection,
    headers,
  }: AccessRequest): CacheEntry<Identification> | Promise<CacheEntry<Identification>> {
    const recent = this.#recentOf(connection);
    const credential = credentialOf(connection, headers, recent.token?.found);
    switch (credential.kind) {
      case "none":
        return lasting(refused(noCredential(this.#settings.audiences)));
      case "malformed":
        return lasting(refused(malformedCredential(credential.message)));
      case "certificate":
        return this.#certificateCaller(connection, credential.certificate);
      case "token": {
        const { token } = credential.found;
        const { key, desk } = this.#tokenOf(recent, credential.found);
        return (
          desk.answers.find(key, connection.remoteAddress, () => this.#loadToken(desk.judge, token)) ??
          lasting(refused(TOO_MANY_CHECKS))
        );
      }
    }
  }

  /** Asks the API server whose a token is. */
  async #review(token: string): Promise<TokenJudgement> {
    const { audiences, issuers, clock } = this.#settings;
    const verdict = await this.#reviews.reviewToken(token);
    const claims = unverifiedClaims(token);
    switch (verdict.kind) {
      case "failed":
        return { kind: "failed", refusal: CHECK_FAILED };
      case "rejected": {
        const taken = { audiences, issuers: issuers.map(({ url }) => url), now: clock.now() };
        return { kind: "refused", refusal: invalidToken(tokenHint(claims, taken)) };
      }
      case "known":
        return { ...verdict, endsAtMs: tokenEndMs(claims) };
    }
  }

  async #loadToken(judge: TokenJudge, token: string): Promise<Loaded<Identification>> {
    const { allowedTtlMs, deniedTtlMs, clock } = this.#settings;
    const judgement = await judge.judge(token);
    switch (judgement.kind) {
      case "failed":
        return { value: refused(judgement.refusal), ttlMs: FAILED_TTL_MS, kind: "failure" };
      case "refused":
        return { value: refused(judgement.refusal), ttlMs: deniedTtlMs, kind: "negative" };
      case "known": {
        const { subject } = judgement;
        const leftMs = judgement.endsAtMs - clock.now().getTime();
        const endsAtMs = clock.monotonicMs() + leftMs;
        const caller = { subject, key: this.#digest(JSON.stringify(subject)), endsAtMs };
        return { value: { kind: "caller", caller }, ttlMs: Math.min(allowedTtlMs, leftMs), kind: "positive" };
      }
    }
  }

  #certificateCaller(
    connection: ConnectionInfo,
    certificate: NonNullable<ConnectionInfo["clientCertificate"]>,
  ): CacheEntry<Identification> {
    const { clock } = this.#settings;
    const recent = this.#recentOf(connection);
    let caller = recent.holder;
    if (caller === undefined) {
      const subject = {
        username: certificate.commonName,
        groups: [...new Set([...certificate.organizations, AUTHENTICATED_GROUP])],
      };
      const leftMs = (certificate.notAfterMs ?? Infinity) - clock.now().getTime();
      caller = {
        subject,
        key: this.#digest(JSON.stringify(subject)),
        endsAtMs: clock.monotonicMs() + leftMs,
      };
      recent.holder = caller;
    }
    return clock.monotonicMs() < caller.endsAtMs
      ? lasting({ kind: "caller", caller })
      : lasting(refused(CERTIFICATE_EXPIRED));
  }

  #authorize(
    request: AccessRequest,
    identified: CacheEntry<Identification>,
  ): AccessDecision | Promise<AccessDecision> {
    const { value } = identified;
    if (value.kind === "refused") {
      return value.refusal;
    }
    const { caller } = value;
    const { satellite } = request;
    const key = `${caller.key} ${satellite.namespace}/${satellite.name}`;
    const permission = this.#permissions.find(key, caller.key, () => this.#loadPermission(caller, satellite));
    if (permission === undefined) {
      return TOO_MANY_CHECKS;
    }
    return permission instanceof Promise
      ? permission.then((entry) => this.#decide(request, caller, identified, entry))
      : this.#decide(request, caller, identified, permission);
  }

  async #loadPermission(
    { subject }: Caller,
    satellite: SatelliteAddress,
  ): Promise<Loaded<PermissionVerdict>> {
    const { allowedTtlMs, deniedTtlMs } = this.#settings;
    const verdict = await this.#reviews.reviewPermission(subject, satellite);
    switch (verdict.kind) {
      case "failed":
        return { value: verdict, ttlMs: FAILED_TTL_MS, kind: "failure" };
      case "denied":
        return { value: verdict, ttlMs: deniedTtlMs, kind: "negative" };
      case "allowed":
        return { value: verdict, ttlMs: allowedTtlMs, kind: "positive" };
    }
  }

  #decide(
    { connection, headers, satellite }: AccessRequest,
    caller: Caller,
    identified: CacheEntry<Identification>,
    permission: CacheEntry<PermissionVerdict>,
  ): AccessDecision {
    switch (permission.value.kind) {
      case "failed":
        return CHECK_FAILED;
      case "denied":
        return notPermitted(caller.subject.username, satellite);
      case "allowed": {
        const { namespace, name } = satellite;
        const decision: AccessDecision = {
          kind: "allow",
          identity: caller.subject.username,
          drop: CREDENTIAL_HEADERS,
        };
        // Only until one of the two wants renewing: the caches see to that when they are asked.
        const untilMs = Math.min(identified.refreshAtMs, permission.refreshAtMs, caller.endsAtMs);
        this.#recentOf(connection).decided = { headers, namespace, name, decision, untilMs };
        return decision;
      }
    }
  }

  #recentOf(connection: ConnectionInfo): Recent {
    let recent = this.#recent.get(connection);
    if (recent === undefined) {
      recent = {};
      this.#recent.set(connection, recent);
    }
    return recent;
  }

  #tokenOf(recent: Recent, found: FoundToken): { readonly key: string; readonly desk: TokenDesk } {
    if (recent.token?.found.token === found.token) {
      return recent.token;
    }
    const token = { found, key: this.#digest(found.token), desk: this.#deskFor(found.token) };
    if (found.value.length <= MAX_RECENT_LENGTH) {
      recent.token = token;
    }
    return token;
  }

  /** A token that names an issuer of ours is judged there and nowhere else. */
  #deskFor(token: string): TokenDesk {
    const issuer = this.#issuers.size === 0 ? undefined : unverifiedClaims(token)?.["iss"];
    return (typeof issuer === "string" ? this.#issuers.get(issuer) : undefined) ?? this.#apiServer;
  }

  #digest(text: string): string {
    return hash("sha256", this.#salt + text, "base64");
  }
}

function refused(answer: Refusal): Identification {
  return { kind: "refused", refusal: answer };
}

/** An identification that no cache has to renew. */
function lasting(value: Identification): CacheEntry<Identification> {
  return { value, expiresAtMs: Infinity, refreshAtMs: Infinity };
}
