/**
 * What `make docs-check` does with each block of a page, as its first line says after the language:
 *
 * - `sh run`: runs it in a scratch folder that holds the examples and the chart
 * - `sh local`: the same, with a `satellites local` of its own for the page
 * - `sh aws`: cannot run without an AWS account and a cluster
 * - `sh shown: REASON`: is not run, for that reason
 *
 * Pages show sessions with what was answered as `console`; all other languages are no commands.
 */
export interface Block {
  readonly page: string;
  /** Line of the page on which it begins, from 1. */
  readonly line: number;
  readonly language: string;
  /** What follows the language. */
  readonly mark: string;
  readonly text: string;
}

export type Use = "run" | "local" | "aws" | "shown";

/** The fenced blocks of a page. */
export function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; fence: string; info: string; lines: string[] } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^\s*(```+)(.*)$/.exec(line);
    if (open === undefined) {
      open =
        fence === null
          ? undefined
          : { line: index + 1, fence: fence[1] ?? "", info: (fence[2] ?? "").trim(), lines: [] };
    } else if (line.trim() === open.fence) {
      const [, language = "", mark = ""] = /^(\S*)\s*(.*)$/.exec(open.info) ?? [];
      blocks.push({ page, line: open.line, language, mark, text: open.lines.join("\n") });
      open = undefined;
    } else {
      open.lines.push(line);
    }
  }
  return blocks;
}

/** What is to become of a block of commands; a text says what is wrong with its mark. */
export function useOf({ language, mark }: Block): Use | undefined | { readonly wrong: string } {
  if (language === "bash" || language === "shell") return { wrong: `is "${language}"; write "sh"` };
  if (language === "") return { wrong: 'has no language; write "sh", "console" or "text"' };
  if (language !== "sh") return undefined;
  if (mark === "run" || mark === "local" || mark === "aws") return mark;
  if (/^shown: \S/.test(mark)) return "shown";
  return { wrong: `has the mark "${mark}"; write "run", "local", "aws" or "shown: REASON"` };
}

/** How many commands a block has: a loop or a line that goes on is one, and what is fed to a command is none. */
export function countCommands(text: string): number {
  let count = 0;
  let heredoc: string | undefined;
  let depth = 0;
  let goesOn = false;
  for (const line of text.split("\n")) {
    if (heredoc !== undefined) {
      heredoc = line.trim() === heredoc ? undefined : heredoc;
      continue;
    }
    const words = line.trim();
    if (words === "" || words.startsWith("#")) continue;
    if (!goesOn && depth === 0) count += 1;
    depth += /^(?:for|while|if|case)\b/.test(words) ? 1 : 0;
    depth -= /^(?:done|fi|esac)\b/.test(words) || /;\s*(?:done|fi)\b/.test(words) ? 1 : 0;
    heredoc = /<<-?\s*['"]?(\w+)/.exec(line)?.[1];
    goesOn = words.endsWith("\\") || words.endsWith("|");
  }
  return count;
}
