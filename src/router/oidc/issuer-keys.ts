import {
  createLocalJWKSet,
  errors,
  type CryptoKey,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
} from "jose";
import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { FetchJson } from "./fetch-json.ts";

/** Options of {@link IssuerKeys}. */
export interface IssuerKeysOptions {
  /** The issuer's URL. */
  readonly url: string;
  readonly fetchJson: FetchJson;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** After this time a use causes the keys to be read again in the background. */
const FRESH_MS = 10 * 60_000;
/**
 * For so long keys are used while the issuer cannot be read: longer than its tokens mostly live, so that whoever got one
 * before it went away can use it to its end; and so long a key that it withdraws may still count.
 */
const MAX_AGE_MS = 60 * 60_000;
/** Anybody can send a token that names an unknown key, so not each of them is a reason to read the keys again. */
const REREAD_PAUSE_MS = 10_000;

type KeySet = (header?: JWSHeaderParameters, token?: FlattenedJWSInput) => Promise<CryptoKey>;

/**
 * The public keys of one issuer: found by OpenID Connect Discovery 1.0 (section 4), kept, and read again before they are
 * old and when a token names one that is not among them, as after a rotation (OpenID Connect Core 1.0 section 10.1.1).
 */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  #keys: KeySet | undefined;
  #readAtMs = -Infinity;
  #reading: Promise<KeySet> | undefined;
  #triedAtMs = -Infinity;
  #failure: SatelliteError | undefined;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /** Reads the keys in the background, so that the first token need not wait. */
  warmUp(): void {
    this.#read().catch(() => {}); // It is logged; the first token tries again.
  }

  /**
   * The key that a token's header names.
   *
   * @throws SatelliteError `OidcIssuerUnavailable` when the keys cannot be read, and errors of jose when none fits
   */
  async keyFor(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const keys = await this.#current();
    try {
      return await keys(header, token);
    } catch (error) {
      // After a failed reading it is not known whether the issuer has such a key by now.
      const mayBeNewer =
        this.#reading !== undefined ||
        this.#failure !== undefined ||
        this.#options.clock.monotonicMs() - this.#triedAtMs >= REREAD_PAUSE_MS;
      if (!(error instanceof errors.JWKSNoMatchingKey) || !mayBeNewer) {
        throw error;
      }
    }
    const newer = await this.#read();
    return await newer(header, token);
  }

  async #current(): Promise<KeySet> {
    const ageMs = this.#options.clock.monotonicMs() - this.#readAtMs;
    if (this.#keys === undefined || ageMs >= MAX_AGE_MS) {
      return await this.#read();
    }
    if (ageMs >= FRESH_MS) {
      this.warmUp();
    }
    return this.#keys;
  }

  /** One reading at a time, and after a failure none for a while: whoever asks meanwhile fails with it at once. */
  async #read(): Promise<KeySet> {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#reading === undefined) {
      if (this.#failure !== undefined && nowMs - this.#triedAtMs < REREAD_PAUSE_MS) {
        throw this.#failure;
      }
      this.#triedAtMs = nowMs;
      this.#reading = this.#load().finally(() => {
        this.#reading = undefined;
      });
    }
    return await this.#reading;
  }

  async #load(): Promise<KeySet> {
    const { url, fetchJson, clock, logger } = this.#options;
    try {
      const jwks = await fetchJson(await this.#keysUrl());
      const keys = keySet(url, jwks);
      this.#keys = keys;
      this.#readAtMs = clock.monotonicMs();
      if (this.#failure !== undefined) {
        logger.info("the keys of an OIDC issuer can be read again", { issuer: url });
      }
      this.#failure = undefined;
      return keys;
    } catch (thrown) {
      const error = toError(thrown);
      logger.warn("the keys of an OIDC issuer cannot be read", { issuer: url, error });
      this.#failure =
        error instanceof SatelliteError ? error : unavailable(`the keys of ${url} cannot be read`, error);
      throw this.#failure;
    }
  }

  async #keysUrl(): Promise<string> {
    const { url, fetchJson } = this.#options;
    const document = await fetchJson(`${url.replace(/\/$/, "")}/.well-known/openid-configuration`);
    const issuer = member(document, "issuer");
    if (issuer !== url) {
      // OpenID Connect Discovery 1.0 section 4.3: it must be the same, or somebody else speaks for it.
      throw unavailable(
        `the discovery document of ${url} is of the issuer ${JSON.stringify(issuer)}; give --oidc-issuer exactly that`,
      );
    }
    const keysUrl = member(document, "jwks_uri");
    if (typeof keysUrl !== "string") {
      throw unavailable(`the discovery document of ${url} names no jwks_uri`);
    }
    return keysUrl;
  }
}

function keySet(url: string, jwks: unknown): KeySet {
  const keys = member(jwks, "keys");
  if (!Array.isArray(keys) || keys.length === 0) {
    throw unavailable(`${url} publishes no keys`);
  }
  return createLocalJWKSet({ keys });
}

function member(document: unknown, name: string): unknown {
  return typeof document === "object" && document !== null ? Reflect.get(document, name) : undefined;
}

function unavailable(message: string, cause?: unknown): SatelliteError {
  return new SatelliteError("OidcIssuerUnavailable", message, { cause });
}
