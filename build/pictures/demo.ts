/**
 * Runs the demo (`make demo`), shows what it prints, and when it held draws the run as a picture that moves:
 * `node build/pictures/demo.ts [FILE.svg]`. Nothing is put in but the command that began it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { StringDecoder } from "node:string_decoder";
import { recordingSvg, type Written } from "./terminal-svg.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const COLUMNS = 120;
const target = process.argv[2] ?? ".satellites/demo.svg";

const recording: Written[] = [
  { seconds: performance.now() / 1000, bytes: "\u001B[1m$\u001B[0m make demo\n" },
];
const demo = spawn(process.execPath, [join(ROOT, "src/main.ts"), "demo"], {
  stdio: ["ignore", "pipe", "inherit"],
});
// Ctrl-C reaches the demo by itself, which then takes down what it runs.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => demo.kill("SIGTERM"));
const decoder = new StringDecoder();
demo.stdout.on("data", (chunk: Buffer) => {
  process.stdout.write(chunk);
  recording.push({ seconds: performance.now() / 1000, bytes: decoder.write(chunk) });
});
const [status] = (await once(demo, "close")) as [number | null];
if (status === 0) {
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, await recordingSvg(recording, COLUMNS, "A run of make demo"));
  console.log(`picture: ${target}`);
}
process.exitCode = status ?? 1;
