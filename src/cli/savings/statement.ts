import { readFileSync } from "node:fs";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Account } from "./usage.ts";

/** What `savings -o json` writes, and `savings --since FILE` subtracts. */
export interface Statement {
  readonly at: string;
  readonly satellites: readonly Account[];
}

/** @throws SatelliteError `InvalidStatement` */
export function readStatement(file: string): Statement {
  try {
    const statement = JSON.parse(readFileSync(file, "utf8")) as Partial<Statement>;
    if (typeof statement.at === "string" && Array.isArray(statement.satellites)) {
      return statement as Statement;
    }
  } catch (error) {
    throw invalid(file, toError(error).message, error);
  }
  throw invalid(file, "it is no statement");
}

function invalid(file: string, why: string, cause?: unknown): SatelliteError {
  return new SatelliteError(
    "InvalidStatement",
    `--since ${file} cannot be used: ${why}; it has to be what kubectl satellite savings -o json wrote`,
    { cause },
  );
}

/** What was done since a statement. A satellite that it does not know, or that was made anew since, counts whole. */
export function since(accounts: readonly Account[], { satellites }: Statement): Account[] {
  const before = new Map(satellites.map((account) => [account.uid, account]));
  return accounts.map((account) => {
    const then = before.get(account.uid);
    const less = (name: "awakeSeconds" | "asleepSeconds" | "wakes"): number =>
      Math.max(0, account[name] - (then?.[name] ?? 0));
    return {
      ...account,
      awakeSeconds: less("awakeSeconds"),
      asleepSeconds: less("asleepSeconds"),
      wakes: less("wakes"),
    };
  });
}
