import { resolve } from "node:path";
import { SatelliteError, toError } from "../../base/errors.ts";
import { contextExtension } from "../../kube/config.ts";
import type { ConnectFlags } from "../connect.ts";
import type { CliContext } from "../context.ts";
import { parseHostPort } from "../host-port.ts";
import type { RouterFlags } from "../router-flags.ts";

/** Name of the extension of a kubeconfig's context that says where its routers are. */
export const ROUTER_EXTENSION = "satellites.dev/router";

/** What the extension says; its fields are called as kubeconfigs call their like. Paths count from the kubeconfig. */
export interface ContextRouter {
  /** HOST:PORT. */
  readonly router: string;
  /** Speak TLS, by public authorities; the next two do so, too. */
  readonly tls?: boolean;
  /** File with the authorities of its certificate. */
  readonly "certificate-authority"?: string;
  /** Name that its certificate bears. */
  readonly "tls-server-name"?: string;
  /** File with a token for it. */
  readonly tokenFile?: string;
}

const TEXTS = ["certificate-authority", "tls-server-name", "tokenFile"] as const;

/**
 * The flags, with those that the kubeconfig's context stands in for where none says how a router is found.
 *
 * @throws SatelliteError `KubeConfigInvalid` where the extension is not as {@link ContextRouter} says
 */
export function withContextRouter<Flags extends ConnectFlags & RouterFlags>(
  flags: Flags,
  { environment }: Pick<CliContext, "environment">,
): Flags {
  if (flags.router !== undefined || flags.routerNamespace !== undefined || flags.via !== "auto") {
    return flags;
  }
  const found = contextExtension(
    { path: flags.kubeconfig, context: flags.context, environment },
    ROUTER_EXTENSION,
  );
  if (found === undefined) {
    return flags;
  }
  const { router, tls, tokenFile, ...rest } = checked(found.value);
  const [ca, serverName] = [rest["certificate-authority"], rest["tls-server-name"]];
  const showsOther = [flags.tokenFile, flags.tokenFrom, flags.serviceAccount, flags.clientCert].some(
    (flag) => flag !== undefined,
  );
  return {
    router,
    ...(tls === undefined ? {} : { tls }),
    ...(ca === undefined ? {} : { ca: resolve(found.directory, ca) }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(tokenFile === undefined || showsOther ? {} : { tokenFile: resolve(found.directory, tokenFile) }),
    ...flags,
  };
}

function checked(value: unknown): ContextRouter {
  const fields: Readonly<Record<string, unknown>> = Object(value);
  try {
    if (typeof fields["router"] !== "string") {
      throw new Error("router must be HOST:PORT");
    }
    parseHostPort(fields["router"]);
    const wrong = TEXTS.find((name) => !["string", "undefined"].includes(typeof fields[name]));
    if (wrong !== undefined) {
      throw new Error(`${wrong} must be a text`);
    }
    if (!["boolean", "undefined"].includes(typeof fields["tls"])) {
      throw new Error("tls must be true or false");
    }
  } catch (error) {
    throw new SatelliteError(
      "KubeConfigInvalid",
      `the kubeconfig's context has an extension ${ROUTER_EXTENSION} that cannot be used: ${toError(error).message}; ` +
        "mend it, or name a router with --router HOST:PORT",
      { cause: error },
    );
  }
  return fields as unknown as ContextRouter;
}
