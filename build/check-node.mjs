/**
 * Fails, saying what to do, where `node` is older than this product needs. npm goes on when an optional package, as that
 * of Node.js is, cannot be installed. In JavaScript, since an old Node.js reads nothing else.
 */
import { readFileSync } from "node:fs";

const { engines } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const [major, minor] = process.versions.node.split(".").map(Number);
const [leastMajor, leastMinor] = engines.node.replace(">=", "").split(".").map(Number);
if (major < leastMajor || (major === leastMajor && minor < leastMinor)) {
  console.error(
    `node is ${process.version}, and ${engines.node} is needed. The package of it for ${process.platform} ${process.arch} ` +
      "could not be installed: try again, or install that Node.js yourself.",
  );
  process.exit(1);
}
