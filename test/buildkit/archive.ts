import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { spawnSync } from "node:child_process";
import { describeTool } from "../tools/catalog.ts";
import { ensureTool, type Report } from "../tools/build.ts";

/** Runs a program to its end. @throws Error with what it wrote */
function run(program: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", cwd });
  if (status !== 0) {
    throw new Error(`${program} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  }
  return stdout;
}

/**
 * An archive as BuildKit's releases are, for this machine's Debian: buildkitd and buildctl from source, and runc, which
 * needs a C compiler, from Debian's package. Made once for each pair of versions.
 *
 * @returns its path; its name is that of a release
 */
export async function ensureArchive(report: Report): Promise<string> {
  const daemon = await ensureTool("buildkitd", report);
  const client = await ensureTool("buildctl", report);
  const { version, cacheDir } = describeTool("buildkitd");
  const runc = /Candidate: (\S+)/.exec(run("apt-cache", ["policy", "runc"]))?.[1] ?? "";
  const digest = createHash("sha256").update(`1 ${version} ${runc}`).digest("hex").slice(0, 8);
  const folder = join(dirname(dirname(cacheDir)), `archive-${version}-${digest}`);
  const name = `buildkit-v${version}.linux-amd64.tar.gz`;
  if (existsSync(folder)) {
    return join(folder, name);
  }
  report(`packing ${name}`);
  const scratch = mkdtempSync(join(dirname(folder), ".archive-"));
  try {
    run("apt-get", ["download", `runc=${runc}`], scratch);
    const [deb = ""] = readdirSync(scratch);
    run("dpkg-deb", ["-x", deb, "unpacked"], scratch);
    mkdirSync(join(scratch, "bin"));
    mkdirSync(join(scratch, "result"));
    copyFileSync(daemon, join(scratch, "bin/buildkitd"));
    copyFileSync(client, join(scratch, "bin/buildctl"));
    copyFileSync(join(scratch, "unpacked/usr/sbin/runc"), join(scratch, "bin/buildkit-runc"));
    // The same bytes for the same inputs, so that a class that names the checksum stays as it is.
    const fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--use-compress-program=gzip -n"];
    run("tar", [...fixed, "-cf", join("result", name), "bin"], scratch);
    renameSync(join(scratch, "result"), folder);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return join(folder, name);
}

if (import.meta.main) {
  process.stdout.write(`${await ensureArchive((line) => process.stderr.write(`${line}\n`))}\n`);
}
