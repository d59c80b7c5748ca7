/**
 * Makes `node` in node_modules/.bin the Node.js of this platform's package, after `npm ci`. npm 10 and older take the link
 * away again when they leave out the package of another platform, whose program has the same name. Where there is no
 * package for this platform, the `node` that runs this must do, and it fails if that is too old. In JavaScript, since an
 * old Node.js reads nothing else.
 */
import { existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";

const ROOT = new URL("../", import.meta.url);
const program = `node-${process.platform}-${process.arch}/bin/node`;
const link = new URL("node_modules/.bin/node", ROOT);

if (existsSync(new URL(`node_modules/${program}`, ROOT))) {
  rmSync(link, { force: true });
  symlinkSync(`../${program}`, link);
} else {
  const { engines } = JSON.parse(readFileSync(new URL("package.json", ROOT), "utf8"));
  const [major, minor] = process.versions.node.split(".").map(Number);
  const [leastMajor, leastMinor] = engines.node.replace(">=", "").split(".").map(Number);
  if (major < leastMajor || (major === leastMajor && minor < leastMinor)) {
    console.error(
      `node is ${process.version}, and ${engines.node} is needed. The package of it for ${process.platform} ${process.arch} ` +
        "could not be installed: try again, or install that Node.js yourself.",
    );
    process.exit(1);
  }
}
