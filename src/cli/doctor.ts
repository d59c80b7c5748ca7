import { SatelliteError, toError } from "../base/errors.ts";
import { hasReason } from "../kube/errors.ts";
import type { Connection, ConnectFlags } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { accounts } from "./doctor/account-checks.ts";
import { classes, satellites } from "./doctor/class-checks.ts";
import { apiServer, definitions, operator, rights } from "./doctor/cluster-checks.ts";
import { type Check, Doctor, type Finding } from "./doctor/looking.ts";
import { router, routers } from "./doctor/router-checks.ts";
import { plainMessage } from "./error-line.ts";
import { withContextRouter } from "./proxy/context-router.ts";
import type { RouterFlags } from "./router-flags.ts";
import { styleFor, wrap } from "./style.ts";

const CHECKS: readonly Check[] = [
  apiServer,
  definitions,
  rights,
  classes,
  satellites,
  operator,
  accounts,
  routers,
  router,
];

/**
 * Looks at everything that a request has to pass, from here to a VM, and says of each failure how to mend it.
 *
 * @returns the exit status: 1 where something is broken
 */
export async function doctor(
  flags: ConnectFlags & RouterFlags,
  connection: Connection,
  context: CliContext,
): Promise<number> {
  const style = styleFor(context.out, context);
  const looking = new Doctor(withContextRouter(flags, context), connection, context);
  let broken = 0;
  for (const check of CHECKS) {
    const findings = await findingsOf(check, looking);
    for (const { state, what, mend } of findings) {
      broken += state === "bad" ? 1 : 0;
      const mark = { ok: style.good("ok  "), bad: style.bad("FAIL"), unknown: style.warn("?   ") }[state];
      const lines = [`${mark}  ${what}`, ...(mend === undefined ? [] : [`      → ${mend}`])];
      context.out.write(lines.map((line, index) => `${wrap(line, context.out, 6 + 2 * index)}\n`).join(""));
    }
    if (findings.some(({ isTheEnd }) => isTheEnd)) {
      context.out.write("\nnothing else can be looked at until that is mended\n");
      break;
    }
  }
  context.out.write(broken === 0 ? "\nnothing is broken\n" : `\n${broken} broken\n`);
  return broken === 0 ? 0 : 1;
}

async function findingsOf(check: Check, looking: Doctor): Promise<Finding[]> {
  try {
    return await check(looking);
  } catch (error) {
    if (hasReason(error, "Forbidden")) {
      return [{ state: "unknown", what: `you may not look: ${plainMessage(error)}` }];
    }
    const known = error instanceof SatelliteError;
    return [{ state: "bad", what: known ? plainMessage(error) : String(toError(error).stack) }];
  }
}
