/**
 * Runs the tests of a whole cluster, on Kubernetes nodes that live as long as they do:
 *
 *   node test/cluster/run.ts [--images=FOLDER] [FILE… and options of mocha]
 *
 * With --images the images are kept in that folder, and not built again when they are there.
 *
 * The tests run inside of the first node's namespaces, so that they reach pods and Services, and everything ends with them.
 * The last line is "cluster: N steps, F failed". Exit code 2 says that no node can run on this machine, 1 that a
 * step failed.
 */
import { globSync } from "node:fs";
import { join } from "node:path";
import { readMochaCounts } from "../../build/mocha-counts.ts";
import { runInNode } from "./inside.ts";
import { whyNoNode } from "./machine.ts";

const ROOT = join(import.meta.dirname, "../..");
const MOCHA = ["mocha", "--reporter", "./build/test-reporter.ts", "--exit", "--timeout", "300000"];

async function main(args: readonly string[]): Promise<number> {
  const reason = whyNoNode();
  if (reason !== undefined) {
    console.error(`no Kubernetes node can run here: ${reason}`);
    return 2;
  }
  const images = args.find((each) => each.startsWith("--images="));
  const given = args.filter((each) => each !== images);
  const files = given.some((each) => each.endsWith(".test.ts"))
    ? []
    : globSync("test/cluster/**/*.test.ts", { cwd: ROOT }).toSorted();
  const { status, output } = await runInNode(
    [...MOCHA, ...given, ...files],
    images?.slice("--images=".length),
  );
  const { passing, failing, pending } = readMochaCounts(output);
  const failed = status === 0 ? failing : Math.max(1, failing);
  console.log(`cluster: ${passing + failing + pending} steps, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
