import type { BlockList } from "node:net";
import type { Registry } from "@prometheus-io/client";
import { SatelliteError } from "../base/errors.ts";
import { readProxyRule } from "../base/proxy.ts";
import type { KubeClient } from "../kube/client.ts";
import { anonymousLoopback, type Access } from "../router/access.ts";
import type { IdentityLimitOptions } from "../router/identity-limits.ts";
import { createAccessMetrics, type AccessMetrics } from "../router/metrics.ts";
import { createFetchJson } from "../router/oidc/fetch-json.ts";
import { OidcTokenIssuer } from "../router/oidc/token-issuer.ts";
import { parseNetworks } from "../router/proxy-protocol.ts";
import type { TlsFiles } from "../router/tls-material.ts";
import { createTokenAccess, DEFAULT_AUDIENCE } from "../router/token-access.ts";
import type { ProcessContext } from "./process-context.ts";
import { readOidcIssuers, type OidcIssuerFlags, type OidcIssuerSetup } from "./router-oidc.ts";

/** Options of `satellites router` about who may use it. */
export interface RouterAccessOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
  /** Audiences of which a token must have one. */
  readonly tokenAudience?: readonly string[];
  /** Issuers whose tokens are taken without the API server. */
  readonly oidcIssuer?: readonly OidcIssuerFlags[];
  /** Serve without credentials, on loopback only. */
  readonly anonymous?: boolean;
  /** Serve without credentials, on any address. */
  readonly insecureAnonymous?: boolean;
  /** Accept credentials without TLS, on any address. */
  readonly insecureCleartext?: boolean;
  /** Networks whose connections begin with a PROXY protocol v2 header. */
  readonly proxyProtocolFrom?: string;
  readonly maxHeldPerIdentity?: number;
  readonly wakeBurst?: number;
  readonly wakesPerMinute?: number;
}

/** What the options come to. */
export interface RouterAccessSettings {
  readonly isAnonymous: boolean;
  readonly tlsFiles: TlsFiles | undefined;
  readonly proxyProtocolFrom: BlockList | undefined;
  readonly oidcIssuers: readonly OidcIssuerSetup[];
  readonly identities: IdentityLimitOptions;
}

/**
 * Reads the options.
 *
 * @throws SatelliteError `InvalidOption` when they contradict each other or lack something, `InvalidNetwork`,
 *   `OidcIssuerInvalid`
 */
export function readAccessOptions(options: RouterAccessOptions): RouterAccessSettings {
  const { anonymous = false, insecureAnonymous = false, clientCa, tokenAudience, oidcIssuer } = options;
  const isAnonymous = anonymous || insecureAnonymous;
  if (isAnonymous && [clientCa, tokenAudience, oidcIssuer].some((option) => option !== undefined)) {
    throw invalidOption(
      "--client-ca, --token-audience and --oidc-issuer have no use when everybody is let in; leave out --anonymous",
    );
  }
  return {
    isAnonymous,
    tlsFiles: tlsFilesOf(options),
    proxyProtocolFrom:
      options.proxyProtocolFrom === undefined ? undefined : parseNetworks(options.proxyProtocolFrom),
    oidcIssuers: readOidcIssuers(oidcIssuer ?? [], tokenAudience ?? [DEFAULT_AUDIENCE]),
    identities: {
      ...(options.maxHeldPerIdentity === undefined ? {} : { maxHeld: options.maxHeldPerIdentity }),
      ...(options.wakeBurst === undefined ? {} : { wakeBurst: options.wakeBurst }),
      ...(options.wakesPerMinute === undefined ? {} : { wakesPerMinute: options.wakesPerMinute }),
    },
  };
}

/**
 * Who may use this router: by default those whom the API server knows and lets `create` satellites/connect.
 *
 * @param connect makes a client for reviews alone, so that no wake and no lease waits behind them
 */
export function createAccess(
  options: RouterAccessOptions,
  { isAnonymous, oidcIssuers }: RouterAccessSettings,
  connect: () => Pick<KubeClient, "create">,
  registry: Registry,
  context: Omit<ProcessContext, "faults">,
): Access {
  const { clock, logger } = context;
  if (isAnonymous) {
    return anonymousLoopback({ logger, allowEveryAddress: options.insecureAnonymous ?? false });
  }
  const metrics = createAccessMetrics(registry);
  return createTokenAccess({
    client: connect(),
    clock,
    logger,
    allowCleartext: options.insecureCleartext ?? false,
    onReview: (review, result) => metrics.reviews.inc({ review, result }),
    issuers: oidcIssuers.map((setup) => createIssuer(setup, metrics, context)),
    ...(options.tokenAudience === undefined ? {} : { audiences: options.tokenAudience }),
  });
}

/** An issuer whose keys are being read. The router starts even if the issuer does not answer. */
function createIssuer(
  { settings, caFile }: OidcIssuerSetup,
  metrics: AccessMetrics,
  { environment, clock, logger }: Omit<ProcessContext, "faults">,
): OidcTokenIssuer {
  const issuer = new OidcTokenIssuer({
    settings,
    fetchJson: createFetchJson({
      clock,
      proxyFor: readProxyRule(environment),
      ...(caFile === undefined ? {} : { caFile }),
    }),
    clock,
    logger,
    onJudged: (result) => metrics.reviews.inc({ review: "oidc", result }),
  });
  issuer.warmUp();
  return issuer;
}

function tlsFilesOf({ tlsCert, tlsKey, clientCa }: RouterAccessOptions): TlsFiles | undefined {
  if (tlsCert === undefined && tlsKey === undefined) {
    if (clientCa !== undefined) {
      throw invalidOption("--client-ca needs TLS: set --tls-cert and --tls-key, too");
    }
    return undefined;
  }
  if (tlsCert === undefined || tlsKey === undefined) {
    throw invalidOption("--tls-cert and --tls-key go together; set both");
  }
  return { cert: tlsCert, key: tlsKey, ...(clientCa === undefined ? {} : { clientCa }) };
}

function invalidOption(message: string): SatelliteError {
  return new SatelliteError("InvalidOption", message);
}
