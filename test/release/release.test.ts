import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readManifest } from "../../build/release/sources.ts";
import { ensurePrerequisites } from "../../src/local/qemu/prerequisites.ts";
import { freePort } from "../support/process.ts";
import { requireTool } from "../tools/catalog.ts";

const ROOT = join(import.meta.dirname, "../..");
const { version } = readManifest(ROOT);
/** Of Debian's qemu-user-static: it runs one program of another processor, and needs no library. */
const EMULATOR = "qemu-aarch64-static";

/** Builds the release as people do, as another user's shell would (`umask`, time zone) where told to. */
function build(target: string, umask = "022"): string {
  const command = `umask ${umask}; exec "${process.execPath}" build/release/release.ts "${target}"`;
  const zone = umask === "022" ? "UTC" : "Asia/Tokyo";
  return execFileSync("bash", ["-c", command], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, TZ: zone },
  });
}

describe("a release", function () {
  this.timeout(1_200_000);
  let folder: string;
  let one: string;
  let printed: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "satellites-release-test-"));
    one = join(folder, "one");
    printed = build(one);
    console.log(printed);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("has everything that people install from, with checksums", () => {
    expect(readdirSync(one).toSorted()).to.deep.equal(
      [
        "SHA256SUMS",
        "satellite.yaml",
        `satellites-${version}-image.oci.tar`,
        `satellites-${version}.cdx.json`,
        `satellites-${version}.provenance.json`,
        `satellites-chart-${version}.tgz`,
        `satellites-cli-${version}.tgz`,
        `satellites-crds-${version}.yaml`,
      ].toSorted(),
    );
    execFileSync("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: one });
    expect(printed).to.match(/^sha256:[0-9a-f]{64} {2}linux\/amd64\nsha256:[0-9a-f]{64} {2}linux\/arm64$/m);
  });

  it("is the same, byte for byte, when it is built again", () => {
    const two = join(folder, "two");
    build(two, "077");
    expect(readFileSync(join(two, "SHA256SUMS"), "utf8")).to.equal(
      readFileSync(join(one, "SHA256SUMS"), "utf8"),
    );
  });

  it("says in its provenance what each file is, and what it was made from", () => {
    const statement = JSON.parse(
      readFileSync(join(one, `satellites-${version}.provenance.json`), "utf8"),
    ) as {
      subject: { name: string; digest: { sha256: string } }[];
      predicate: { buildDefinition: { resolvedDependencies: { uri?: string; name?: string }[] } };
    };
    const sums = readFileSync(join(one, "SHA256SUMS"), "utf8");
    for (const { name, digest } of statement.subject) {
      expect(name.startsWith("image") ? printed : sums, name).to.contain(digest.sha256);
    }
    const made = statement.predicate.buildDefinition.resolvedDependencies.map(({ uri, name }) => uri ?? name);
    expect(made).to.include("package-lock.json");
    expect(made.filter((uri) => uri?.startsWith("pkg:npm/node-linux-"))).to.have.length(2);
    expect(made.filter((uri) => uri?.startsWith("pkg:deb/debian/libc6@"))).to.have.length(2);
  });

  it("holds a command that knows its version", () => {
    execFileSync("tar", ["--extract", `--file=${join(one, `satellites-cli-${version}.tgz`)}`], {
      cwd: folder,
    });
    const manifest = JSON.parse(readFileSync(join(folder, "package/package.json"), "utf8")) as {
      bin: Record<string, string>;
    };
    const command = join(folder, "package", manifest.bin["satellites"] ?? "");
    expect(execFileSync(process.execPath, [command, "--version"], { encoding: "utf8" }).trim()).to.equal(
      version,
    );
  });

  describe("installed by krew", () => {
    const manifest = (): string => join(one, "satellite.yaml");

    it("has a manifest that krew's validator for its index finds nothing in", () => {
      const { status, stderr } = spawnSync(
        requireTool("validate-krew-manifest"),
        ["-manifest", manifest(), "-skip-install"],
        { encoding: "utf8" },
      );
      expect(status, stderr).to.equal(0);
    });

    it("is kubectl satellite, of the bytes that the manifest names", () => {
      const root = join(folder, "krew");
      const archive = join(one, `satellites-cli-${version}.tgz`);
      execFileSync(requireTool("krew"), ["install", `--manifest=${manifest()}`, `--archive=${archive}`], {
        env: { ...process.env, HOME: folder, KREW_ROOT: root, KREW_NO_UPGRADE_CHECK: "1" },
        stdio: "pipe",
      });
      const env = { HOME: folder, PATH: `${join(root, "bin")}:${process.env["PATH"] ?? ""}` };
      const said = execFileSync(requireTool("kubectl"), ["satellite", "--version"], {
        encoding: "utf8",
        env,
      });
      expect(said.trim()).to.equal(version);
    });
  });

  describe("pushed to a registry", () => {
    let registry: ChildProcess;
    let address: string;

    before(async () => {
      address = `127.0.0.1:${await freePort()}`;
      registry = spawn(requireTool("crane"), ["registry", "serve", "--address", address], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      await once(registry.stderr!, "data");
      const args = [join(ROOT, "build/release/publish.ts"), address, one, "--plain-http"];
      execFileSync(process.execPath, args, { stdio: "pipe" });
    });
    after(async () => {
      registry.kill();
      await once(registry, "exit");
    });

    const crane = (...args: string[]): string =>
      execFileSync(requireTool("crane"), [...args, "--insecure"], { encoding: "utf8" });

    it("has an image for both architectures, whose digests are those that were printed", () => {
      for (const platform of ["linux/amd64", "linux/arm64"]) {
        const digest = crane("digest", `--platform=${platform}`, `${address}/satellites:${version}`).trim();
        expect(printed).to.contain(`${digest}  ${platform}`);
        crane("validate", "--remote", `${address}/satellites@${digest}`);
      }
      const config = JSON.parse(
        crane("config", "--platform=linux/amd64", `${address}/satellites:${version}`),
      ) as {
        config: { Labels: Record<string, string>; User: string };
      };
      expect(config.config.User).to.equal("65532:65532");
      expect(config.config.Labels["org.opencontainers.image.version"]).to.equal(version);
      expect(config.config.Labels["org.opencontainers.image.revision"]).to.match(/^[0-9a-f]{40}/);
    });

    /** The image's files as the root of a new user namespace, with `emulator` for a processor of another kind. */
    const runIn = (platform: string, emulator?: string): string => {
      const root = join(folder, platform.replace("/", "-"));
      const archive = `${root}.tar`;
      crane("export", `--platform=${platform}`, `${address}/satellites:${version}`, archive);
      mkdirSync(root);
      execFileSync("tar", ["--extract", `--file=${archive}`, `--directory=${root}`]);
      if (emulator !== undefined) {
        copyFileSync(emulator, join(root, "emulator"));
      }
      const command = [...(emulator === undefined ? [] : ["/emulator"]), "/usr/bin/node"];
      const args = [
        "--user",
        "--map-root-user",
        "--root",
        root,
        ...command,
        "/app/satellites.mjs",
        "--version",
      ];
      return execFileSync("unshare", args, { encoding: "utf8" }).trim();
    };

    it("has the amd64 image's files as a root that runs the command", () => {
      expect(runIn("linux/amd64")).to.equal(version);
    });

    it("has the arm64 image's files as a root that runs the command, on an emulated processor", async () => {
      const { [EMULATOR]: emulator } = await ensurePrerequisites({
        path: process.env["PATH"] ?? "",
        mayInstall: true,
        isRoot: process.getuid?.() === 0,
        progress: (line) => console.log(line),
        prerequisites: [
          { program: EMULATOR, debianPackage: "qemu-user-static", purpose: "run the arm64 image" },
          { program: "apt-get", debianPackage: "apt", purpose: "install it" },
        ],
      });
      expect(runIn("linux/arm64", emulator)).to.equal(version);
    });

    it("has the chart, which names that image", () => {
      const chart = `oci://${address}/charts/satellites`;
      const text = execFileSync(
        requireTool("helm"),
        ["show", "chart", chart, "--version", version, "--plain-http"],
        {
          encoding: "utf8",
        },
      );
      expect(text).to.contain(`appVersion: ${version}`).and.to.contain("artifacthub.io/crds");
    });
  });

  it("is built by a workflow that its linter finds nothing in", () => {
    const output = execFileSync(requireTool("actionlint"), ["-no-color", ".github/workflows/ci.yaml"], {
      cwd: ROOT,
      encoding: "utf8",
    });
    expect(output).to.equal("");
  });
});
