import { SatelliteError, toError } from "../../base/errors.ts";
import { hasReason } from "../../kube/errors.ts";
import { objectPath } from "../../kube/paths.ts";
import { SERVICE_ACCOUNT } from "../../kube/resources.ts";
import type { Connection } from "../connect.ts";
import type { CliContext } from "../context.ts";
import { RenewedTokens, type TokenSource } from "./token-source.ts";

/** A service account by name. */
export interface Account {
  readonly namespace: string;
  readonly name: string;
}

/** What is asked for; the API server may grant another time. */
const LIFE_SECONDS = 3600;

/** Tokens of a service account, by TokenRequest. */
export function accountTokens(
  account: Account,
  audience: string,
  connection: Pick<Connection, "call">,
  context: CliContext,
): TokenSource {
  const issue = async (): Promise<{ text: string; endsAtMs: number }> => {
    try {
      const answer = (await connection.call({
        method: "POST",
        path: `${objectPath(SERVICE_ACCOUNT, account)}/token`,
        contentType: "application/json",
        body: JSON.stringify({
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenRequest",
          spec: { audiences: [audience], expirationSeconds: LIFE_SECONDS },
        }),
      })) as { readonly status: { readonly token: string; readonly expirationTimestamp: string } };
      return { text: answer.status.token, endsAtMs: Date.parse(answer.status.expirationTimestamp) };
    } catch (thrown) {
      throw explain(thrown, account);
    }
  };
  return new RenewedTokens(`system:serviceaccount:${account.namespace}:${account.name}`, issue, context);
}

function explain(thrown: unknown, { namespace, name }: Account): SatelliteError {
  const noToken = (message: string): SatelliteError =>
    new SatelliteError("NoToken", message, { cause: thrown });
  if (hasReason(thrown, "Forbidden")) {
    return noToken(
      `you may not make tokens of the service account ${namespace}/${name}, by which a router knows you. Ask for the ` +
        `right: kubectl create role satellite-token -n ${namespace} --verb create --resource serviceaccounts/token ` +
        `--resource-name ${name}, and a rolebinding to you; or name another with --service-account, or a --token-file`,
    );
  }
  if (hasReason(thrown, "NotFound")) {
    return noToken(
      `there is no service account ${namespace}/${name}; name one with --service-account, or make it: ` +
        `kubectl create serviceaccount ${name} -n ${namespace}`,
    );
  }
  return noToken(`no token for the router: ${toError(thrown).message}`);
}
