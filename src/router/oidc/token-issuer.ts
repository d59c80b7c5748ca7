import { errors, jwtVerify, type JWTPayload } from "jose";
import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { issuerUnavailable, unacceptableToken } from "../access-refusals.ts";
import type { TokenIssuer, TokenJudgement } from "../token-judge.ts";
import type { FetchJson } from "./fetch-json.ts";
import { IssuerKeys } from "./issuer-keys.ts";
import type { OidcIssuerSettings } from "./issuer-settings.ts";
import { subjectOf } from "./subject.ts";

/** Options of {@link OidcTokenIssuer}. */
export interface OidcTokenIssuerOptions {
  readonly settings: OidcIssuerSettings;
  readonly fetchJson: FetchJson;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once per judgement with what came of it. */
  readonly onJudged?: (result: TokenJudgement["kind"]) => void;
}

/**
 * Signatures by which a token may be signed: those that take a private key (RFC 7518 section 3.1, RFC 8037), as
 * kube-apiserver takes them. Never `none`, and never one by a secret that both sides know.
 */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
/** By so much the clocks of issuer and router may differ, in seconds. */
const LEEWAY_SECONDS = 30;
/** How much of a bad value an answer repeats. */
const MAX_QUOTED_LENGTH = 200;

/** Verifies the tokens of one OIDC issuer by its published keys, and maps them to users of Kubernetes. */
export class OidcTokenIssuer implements TokenIssuer {
  readonly url: string;
  readonly #options: OidcTokenIssuerOptions;
  readonly #keys: IssuerKeys;

  constructor(options: OidcTokenIssuerOptions) {
    const { settings, fetchJson, clock, logger } = options;
    this.url = settings.url;
    this.#options = options;
    this.#keys = new IssuerKeys({ url: settings.url, fetchJson, clock, logger });
  }

  /** Reads the issuer's keys in the background; one that is away holds up nothing. */
  warmUp(): void {
    this.#keys.warmUp();
  }

  async judge(token: string): Promise<TokenJudgement> {
    const judgement = await this.#judge(token);
    this.#options.onJudged?.(judgement.kind);
    return judgement;
  }

  async #judge(token: string): Promise<TokenJudgement> {
    const { settings, logger } = this.#options;
    let claims: JWTPayload;
    try {
      claims = await this.#verify(token);
    } catch (thrown) {
      if (thrown instanceof SatelliteError) {
        return { kind: "failed", refusal: issuerUnavailable(settings.url, thrown.message) };
      }
      return this.#refused(whyRefused(thrown, settings));
    }
    const claimed = subjectOf(claims, settings);
    if (claimed.kind === "refused") {
      return this.#refused(claimed.why);
    }
    logger.debug("a token of an OIDC issuer was accepted", { issuer: settings.url });
    const { exp = 0 } = claims;
    return { kind: "known", subject: claimed.subject, endsAtMs: (exp + LEEWAY_SECONDS) * 1000 };
  }

  async #verify(token: string): Promise<JWTPayload> {
    const { settings, clock } = this.#options;
    const { payload } = await jwtVerify(token, (header, input) => this.#keys.keyFor(header, input), {
      issuer: settings.url,
      audience: [...settings.audiences],
      algorithms: ALGORITHMS,
      clockTolerance: LEEWAY_SECONDS,
      currentDate: clock.now(),
      requiredClaims: ["exp"],
    });
    return payload;
  }

  #refused(why: string): TokenJudgement {
    return { kind: "refused", refusal: unacceptableToken(this.url, why) };
  }
}

/** What the token's sender can do something about. Claims are verified after the signature, so they may be told. */
function whyRefused(thrown: unknown, settings: OidcIssuerSettings): string {
  if (thrown instanceof errors.JWTExpired) {
    return `it expired at ${dateOf(thrown.payload.exp)}; get a new one`;
  }
  if (thrown instanceof errors.JWTClaimValidationFailed) {
    switch (thrown.claim) {
      case "aud":
        return (
          `it is for the audience ${quoted(thrown.payload.aud)}; ask the issuer for one for ` +
          settings.audiences.map(quoted).join(" or ")
        );
      case "nbf":
        return `it is not valid before ${dateOf(thrown.payload.nbf)}; is the clock of this machine right?`;
      default:
        return `its claim ${thrown.claim} is missing or wrong`;
    }
  }
  if (thrown instanceof errors.JOSEAlgNotAllowed) {
    return `it is not signed by a private key; the signatures that are taken are ${ALGORITHMS.join(", ")}`;
  }
  if (thrown instanceof errors.JWKSNoMatchingKey) {
    return "the issuer does not publish the key that it is signed by";
  }
  if (thrown instanceof errors.JWKSMultipleMatchingKeys) {
    return "it does not say by which of the issuer's keys it is signed (kid)";
  }
  if (thrown instanceof errors.JWSSignatureVerificationFailed) {
    return "its signature is not the issuer's";
  }
  return `it is no JWT that can be verified (${toError(thrown).name})`;
}

function dateOf(seconds: number | undefined): string {
  const date = new Date((seconds ?? NaN) * 1000);
  return Number.isNaN(date.getTime()) ? "an unknown time" : date.toISOString();
}

function quoted(value: unknown): string {
  return JSON.stringify(value)?.slice(0, MAX_QUOTED_LENGTH) ?? "none";
}
