import { SatelliteError, toError } from "../base/errors.ts";
import { KubeError } from "../kube/errors.ts";

/** What to do next about what the API server refuses, by the reason, and by its message where several things have one. */
const NEXT_STEPS: readonly (readonly [reason: string, message: RegExp, next: string])[] = [
  [
    "NotFound",
    /^satellites\.satellites\.dev "/,
    "kubectl satellite ls -A shows those that there are; -n names a namespace",
  ],
  [
    "NotFound",
    /requested resource/,
    "are the CRDs installed, and is it the right cluster? kubectl satellite doctor looks",
  ],
  ["Forbidden", /^/, "kubectl satellite doctor shows what you may do"],
  [
    "Unauthorized",
    /^/,
    "it does not know who you are: does the kubeconfig's credential still hold, and is it for this cluster?",
  ],
];

/** One line about an error; refusals of the API server read as kubectl's do, with what to do next. */
export function errorLine(thrown: unknown): string {
  const error = toError(thrown);
  if (!(error instanceof SatelliteError)) {
    return `error: ${error.stack ?? error.message}`;
  }
  const message = plainMessage(error);
  if (!(error instanceof KubeError) || error.status < 400) {
    return `error: ${message} (${error.code})`;
  }
  const next = NEXT_STEPS.find(([reason, pattern]) => reason === error.reason && pattern.test(message))?.[2];
  return `Error from server (${error.reason}): ${message}${next === undefined ? "" : `; ${next}`}`;
}

/** The message without what only logs need: which request of an API server it was. */
export function plainMessage(error: Error): string {
  return withoutNodeHint(
    error instanceof KubeError ? error.message.replace(/^[A-Z]+ \/\S*: /, "") : error.message,
  );
}

/** The message without the flag of Node.js that Node.js proposes where it does not trust a certificate: ours are others. */
export function withoutNodeHint(message: string): string {
  return message.replace(
    /; if the root CA is installed locally, try running Node\.js with --use-system-ca/,
    "",
  );
}
