import type { Command, Option } from "commander";
import type { CliContext } from "./context.ts";

/** What completions are written for: shells, and kubectl, which asks a program of the plug-in's. */
export const SHELLS = ["bash", "zsh", "fish", "kubectl"] as const;
export type Shell = (typeof SHELLS)[number];

/** Commands whose first argument is a satellite's name. */
const NAMED = ["inspect", "wake", "sleep", "rm", "use", "proxy", "run", "ls", "buildx", "savings"];

/** Writes a completion script, made from the commands and flags that there are. */
export function completion(shell: Shell, program: Command, { out }: CliContext): void {
  out.write({ bash, zsh, fish, kubectl }[shell](program));
}

interface Listed {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
}

function listed(program: Command): Listed[] {
  return program.commands
    .map((command) => ({
      name: command.name(),
      description: command.description(),
      options: command.options.filter(({ hidden }) => !hidden),
    }))
    .toSorted((left, right) => left.name.localeCompare(right.name));
}

const flagsOf = ({ options }: Listed): string[] =>
  options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined));

/** Flags that say where names of satellites are looked up. */
const SCOPES = "-n|--namespace|--context|--kubeconfig";
const NAMES = "kubectl-satellite ls -o name";

/**
 * The program that kubectl asks for completions of `kubectl satellite` (kubectl's "Plugins", `kubectl_complete-…` in PATH). It
 * answers as Cobra's programs do: a candidate on each line, and a last line that asks for no names of files.
 */
function kubectl(program: Command): string {
  const commands = listed(program);
  const quote = (text: string): string => `'${text.replaceAll("'", "’")}'`;
  const listOf = (candidates: readonly string[]): string =>
    `printf '%s\\n' ${candidates.map(quote).join(" ")}`;
  const flags = commands.map((command) => `    ${command.name}) ${listOf(flagsOf(command))} ;;\n`).join("");
  return `#!/bin/sh
# Completion of kubectl satellite: kubectl satellite completion kubectl > ~/.local/bin/kubectl_complete-satellite
#                                  chmod +x ~/.local/bin/kubectl_complete-satellite
word="" scope=""
for each in "$@"; do
  case "$word" in ${SCOPES}) scope="$scope $word $each" ;; esac
  word="$each"
done
if [ "$#" -le 1 ]; then
  ${listOf(commands.map(({ name, description }) => `${name}\t${description}`))}
else
  case "$word" in
  -*) case "$1" in
${flags}  esac ;;
  *) ${NAMES} $scope 2>/dev/null | cut -d/ -f2 ;;
  esac
fi
echo :4
`;
}

/** The binary by itself. */
function bash(program: Command): string {
  const commands = listed(program);
  const cases = commands
    .map((command) => `    ${command.name}) flags="${flagsOf(command).join(" ")}" ;;\n`)
    .join("");
  return `# bash completion of kubectl-satellite; load it with: source <(kubectl satellite completion bash)
_kubectl_satellite() {
  local word="\${COMP_WORDS[COMP_CWORD]}" command="\${COMP_WORDS[1]}" flags="" scope="" at
  for ((at = 2; at < COMP_CWORD - 1; at++)); do
    case "\${COMP_WORDS[at]}" in ${SCOPES}) scope+=" \${COMP_WORDS[at]} \${COMP_WORDS[at + 1]}" ;; esac
  done
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")}" -- "$word"))
    return
  fi
  case "$command" in
${cases}  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$(${NAMES} $scope 2>/dev/null | cut -d/ -f2)" -- "$word")) ;;
  esac
}
complete -o default -F _kubectl_satellite kubectl-satellite
`;
}

const quoted = (text: string): string =>
  text.replaceAll("'", "’").replaceAll(":", "\\:").replaceAll("[", "(").replaceAll("]", ")");

function zsh(program: Command): string {
  const commands = listed(program);
  const described = commands
    .map(({ name, description }) => `    '${name}:${quoted(description)}'\n`)
    .join("");
  const cases = commands
    .map((command) => {
      const flags = command.options
        .flatMap(({ short, long, description, required, optional }) =>
          [short, long]
            .filter((flag) => flag !== undefined)
            .map((flag) => `'${flag}[${quoted(description)}]${required || optional ? ":value:" : ""}'`),
        )
        .join(" ");
      return `    ${command.name}) _arguments ${flags} '*:satellite:_kubectl_satellite_names' ;;\n`;
    })
    .join("");
  return `#compdef kubectl-satellite
# zsh completion of kubectl-satellite; load it with: source <(kubectl satellite completion zsh)
_kubectl_satellite_names() {
  local -a scope
  local at
  for ((at = 1; at < CURRENT; at++)); do
    case "\${words[at]}" in ${SCOPES}) scope+=("\${words[at]}" "\${words[at + 1]}") ;; esac
  done
  compadd -- \${(f)"$(${NAMES} $scope 2>/dev/null | cut -d/ -f2)"}
}
_kubectl_satellite() {
  local -a commands=(
${described}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
${cases}  esac
}
compdef _kubectl_satellite kubectl-satellite
`;
}

function fish(program: Command): string {
  const commands = listed(program);
  const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("'", "\\'");
  const names = commands.map(
    ({ name, description }) =>
      `complete -c kubectl-satellite -f -n __fish_use_subcommand -a ${name} -d '${escaped(description)}'\n`,
  );
  const flags = commands.flatMap(({ name, options }) =>
    options.map(({ short, long, description, required }) =>
      [
        `complete -c kubectl-satellite -n '__fish_seen_subcommand_from ${name}'`,
        ...(short === undefined ? [] : [`-s ${short.replace(/^-+/, "")}`]),
        ...(long === undefined ? [] : [`-l ${long.replace(/^-+/, "")}`]),
        ...(required ? ["-r"] : []),
        `-d '${escaped(description)}'\n`,
      ].join(" "),
    ),
  );
  return (
    "# fish completion of kubectl-satellite; load it with: kubectl satellite completion fish | source\n" +
    names.join("") +
    `complete -c kubectl-satellite -f -n '__fish_seen_subcommand_from ${NAMED.join(" ")}' ` +
    `-a '(${NAMES} 2>/dev/null | cut -d/ -f2)'\n` +
    flags.join("")
  );
}
