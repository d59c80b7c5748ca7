import { parseAllDocuments } from "yaml";
import { toError } from "../../../src/base/errors.ts";
import { blocksOf, countCommands, useOf, type Block } from "./blocks.ts";

/** Where the commands of one page run, one block after the other. */
export interface Session {
  /** Runs a block; what went wrong, or undefined. */
  readonly run: (text: string) => Promise<string | undefined>;
  readonly close: () => Promise<void>;
}

export interface Shell {
  /** @param needsLocal whether the page speaks to a `satellites local` */
  readonly open: (page: string, needsLocal: boolean) => Promise<Session>;
}

export interface Outcome {
  /** Commands that were run, also those that failed. */
  readonly run: number;
  /** Commands that need AWS. */
  readonly aws: number;
  /** Blocks that failed. */
  readonly failed: number;
}

interface Page {
  readonly page: string;
  readonly text: string;
}

/**
 * Runs what can be run of the pages. After a command that failed, the rest of its page is left out: it builds on it.
 *
 * @param report takes a line for people
 */
export async function checkPages(
  pages: readonly Page[],
  shell: Shell,
  report: (line: string) => void,
): Promise<Outcome> {
  let run = 0;
  let aws = 0;
  let failed = 0;
  const fail = ({ page, line }: Block, why: string): void => {
    failed += 1;
    report(`${page}:${line} ${why}`);
  };
  for (const { page, text } of pages) {
    const blocks = blocksOf(page, text);
    const toRun: Block[] = [];
    for (const block of blocks) {
      const use = useOf(block);
      if (typeof use === "object") fail(block, use.wrong);
      else if (use === "aws") aws += countCommands(block.text);
      else if (use === "run" || use === "local") toRun.push(block);
      else if (use === undefined) {
        const why = unreadable(block);
        if (why !== undefined) fail(block, why);
      }
    }
    if (toRun.length === 0) continue;
    const session = await shell.open(
      page,
      toRun.some((block) => useOf(block) === "local"),
    );
    try {
      for (const block of toRun) {
        run += countCommands(block.text);
        const why = await session.run(block.text);
        if (why !== undefined) {
          fail(block, why);
          break;
        }
      }
    } finally {
      await session.close();
    }
  }
  return { run, aws, failed };
}

/** Why a block of data cannot be read, or undefined. */
function unreadable({ language, text }: Block): string | undefined {
  try {
    if (language === "json") JSON.parse(text);
    if (language === "yaml") {
      const wrong = parseAllDocuments(text).flatMap(({ errors }) => errors)[0];
      return wrong === undefined ? undefined : `is no YAML: ${wrong.message}`;
    }
    return undefined;
  } catch (error) {
    return `is no ${language.toUpperCase()}: ${toError(error).message}`;
  }
}
