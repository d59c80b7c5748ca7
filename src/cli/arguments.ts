/** kubectl's flags that may stand before a command, each with a value. */
const BEFORE_COMMAND = /^(?:-n|--(?:namespace|context|kubeconfig|as|as-group|request-timeout))(?<given>=|$)/;

/**
 * Rewrites what kubectl's parser (pflag) understands and ours does not: `-o=yaml`, and flags before the command as in
 * `kubectl satellite -n team-a ls`. What follows `--` stays as it is.
 *
 * @param args without the names of Node.js and the program
 */
export function kubectlArguments(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const [own, rest] = end < 0 ? [args, []] : [args.slice(0, end), args.slice(end)];
  const apart = own.flatMap((arg) => {
    const { flag, value } = /^(?<flag>-[a-zA-Z])=(?<value>.*)$/s.exec(arg)?.groups ?? {};
    return flag === undefined || value === undefined ? [arg] : [flag, value];
  });
  let command = 0;
  for (let flag; (flag = BEFORE_COMMAND.exec(apart[command] ?? "")?.groups) !== undefined;) {
    command += flag["given"] === "=" ? 1 : 2;
  }
  return [
    ...apart.slice(command, command + 1),
    ...apart.slice(0, command),
    ...apart.slice(command + 1),
    ...rest,
  ];
}

/** A satellite's name, also where it is written as `kubectl get -o name` prints it: with its type before it. */
export function satelliteName(text: string): string {
  return text.replace(/^(?:sat|satellites?)(?:\.satellites\.dev|\.v1alpha1\.satellites\.dev)?\//, "");
}
