/**
 * What a request to EC2 asks for, named as in the log of the local endpoint: a dry run changes nothing, whatever it names.
 *
 * @param parameters of the EC2 Query protocol
 * @returns undefined for what is no request of that protocol
 */
export function ec2Action(parameters: URLSearchParams): string | undefined {
  const action = parameters.get("Action") ?? undefined;
  return action !== undefined && parameters.get("DryRun") === "true" ? `DryRun ${action}` : action;
}
