import type { BlockList } from "node:net";
import type { Registry } from "@prometheus-io/client";
import { SatelliteError } from "../base/errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { anonymousLoopback, type Access } from "../router/access.ts";
import type { IdentityLimitOptions } from "../router/identity-limits.ts";
import { createAccessMetrics } from "../router/metrics.ts";
import { parseNetworks } from "../router/proxy-protocol.ts";
import type { TlsFiles } from "../router/tls-material.ts";
import { createTokenAccess } from "../router/token-access.ts";
import type { ProcessContext } from "./process-context.ts";

/** Options of `satellites router` about who may use it. */
export interface RouterAccessOptions {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
  /** Audiences of which a token must have one. */
  readonly tokenAudience?: readonly string[];
  /** Ask nobody for a credential; on loopback only. */
  readonly anonymous?: boolean;
  /** Ask nobody for a credential, on any address. */
  readonly insecureAnonymous?: boolean;
  /** Take credentials without TLS on any address. */
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
  readonly identities: IdentityLimitOptions;
}

/**
 * Reads the options.
 *
 * @throws SatelliteError `InvalidOption` when they contradict each other or lack something, `InvalidNetwork`
 */
export function readAccessOptions(options: RouterAccessOptions): RouterAccessSettings {
  const { anonymous = false, insecureAnonymous = false, clientCa, tokenAudience } = options;
  const isAnonymous = anonymous || insecureAnonymous;
  if (isAnonymous && (clientCa !== undefined || tokenAudience !== undefined)) {
    throw invalidOption(
      "--client-ca and --token-audience have no use when everybody is let in; leave out --anonymous",
    );
  }
  return {
    isAnonymous,
    tlsFiles: tlsFilesOf(options),
    proxyProtocolFrom:
      options.proxyProtocolFrom === undefined ? undefined : parseNetworks(options.proxyProtocolFrom),
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
 * @param connect makes a client of its own for reviews, so that they hold up no wake and no lease
 */
export function createAccess(
  options: RouterAccessOptions,
  { isAnonymous }: RouterAccessSettings,
  connect: () => Pick<KubeClient, "create">,
  registry: Registry,
  { clock, logger }: Omit<ProcessContext, "faults">,
): Access {
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
    ...(options.tokenAudience === undefined ? {} : { audiences: options.tokenAudience }),
  });
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
