import { expect } from "chai";
import { assert, integer, property, string } from "fast-check";
import { spawnSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { DEFAULT_VERSION, type BuildkitGuest } from "../../../src/machines/buildkit/guest.ts";
import { buildkitUserData } from "../../../src/machines/buildkit/user-data.ts";
import { fingerprintOf } from "../../../src/router/vm-dial.ts";
import { PLAIN_GUEST } from "../../support/buildkit-guest.ts";

interface CloudConfig {
  readonly write_files: readonly {
    readonly path: string;
    readonly content: string;
    readonly permissions: string;
  }[];
  readonly runcmd: readonly (readonly string[])[];
}

function files(guest: BuildkitGuest = PLAIN_GUEST): Map<string, string> {
  const { write_files: written } = parse(buildkitUserData(guest)) as CloudConfig;
  return new Map(written.map(({ path, content }) => [path, content]));
}

const contentOf = (path: string, guest?: BuildkitGuest): string => files(guest).get(path) ?? "";

describe("BuildKit's user data", () => {
  it("is a cloud-config that starts the service", () => {
    const text = buildkitUserData(PLAIN_GUEST);
    expect(text.startsWith("#cloud-config\n")).to.equal(true);
    expect((parse(text) as CloudConfig).runcmd.at(-1)).to.include.members(["enable", "buildkit.service"]);
  });

  it("lets BuildKit listen on the satellite's port", () => {
    const config = contentOf("/etc/buildkit/buildkitd.toml", { ...PLAIN_GUEST, port: 9000 });
    expect(config).to.include('"tcp://0.0.0.0:9000"');
    expect(config).not.to.include("8372");
  });

  it("lets BuildKit serve TLS with a key of the machine's own, and plain text only where the class says so", () => {
    const tls = '[grpc.tls]\ncert = "/etc/buildkit/tls/cert.pem"\nkey = "/etc/buildkit/tls/key.pem"\n';
    expect(contentOf("/etc/buildkit/buildkitd.toml")).to.include(tls);
    const makesKey = "ExecStartPre=/usr/local/sbin/satellites-make-key\n";
    expect(contentOf("/etc/systemd/system/buildkit.service")).to.include(makesKey);
    const plain = buildkitUserData({ ...PLAIN_GUEST, tls: "Off" });
    expect(plain).not.to.match(/grpc\.tls|satellites-make-key/);
  });

  it("lets the worker bear the ID of the boot, which systemd puts in", () => {
    const unit = contentOf("/etc/systemd/system/buildkit.service");
    expect(unit).to.match(/^ExecStart=buildkitd .* --oci-worker-labels dev\.satellites\.boot-id=%b$/m);
  });

  describe("the script that makes the key", () => {
    let root: string;

    beforeEach(() => {
      root = mkdtempSync(join(tmpdir(), "satellites-key-"));
      mkdirSync(join(root, "cloud"));
    });
    afterEach(() => rmSync(root, { recursive: true }));

    /** Boots: runs the script with the guest's folders below `root`. @returns the key's fingerprint */
    function boot(instanceID: string): string {
      writeFileSync(join(root, "cloud/instance-id"), `${instanceID}\n`);
      const script = contentOf("/usr/local/sbin/satellites-make-key")
        .replaceAll("/var/lib/cloud/data", join(root, "cloud"))
        .replaceAll("/etc/buildkit/tls", join(root, "tls"));
      const { status, stderr } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
      expect(status, stderr).to.equal(0);
      const certificate = new X509Certificate(readFileSync(join(root, "tls/cert.pem")));
      expect(certificate.checkPrivateKey(createPrivateKey(readFileSync(join(root, "tls/key.pem"))))).to.equal(
        true,
      );
      return fingerprintOf(certificate);
    }

    it("makes one that nobody else may read, and keeps it over boots", () => {
      const first = boot("i-1");
      expect(boot("i-1")).to.equal(first);
      expect(statSync(join(root, "tls/key.pem")).mode & 0o077).to.equal(0);
    });

    it("makes another one on another instance: the disk was copied", () => {
      const first = boot("i-1");
      expect(boot("i-2")).not.to.equal(first);
    });

    it("begins again where the first boot was cut off before the key was on the disk", () => {
      const first = boot("i-1");
      rmSync(join(root, "tls/instance-id"));
      const second = boot("i-1");
      expect(second).not.to.equal(first);
      expect(boot("i-1")).to.equal(second);
    });
  });

  it("keeps a share of the disk free", () => {
    const config = contentOf("/etc/buildkit/buildkitd.toml", { ...PLAIN_GUEST, diskReservePercent: 20 });
    expect(config).to.include('minFreeSpace = "20%"').and.to.include('maxUsedSpace = "80%"');
  });

  describe("limits", () => {
    /** What the script sets at a boot of a machine with so much memory and so many processors. */
    const limits = (memoryMiB: number, processors: number, guest: BuildkitGuest = PLAIN_GUEST): string[] => {
      const script = contentOf("/usr/local/sbin/satellites-limit", guest);
      const fakes = [
        `nproc() { echo ${processors}; }`,
        'systemctl() { shift 2; echo "$*"; }',
        `awk() { echo ${memoryMiB}; }`,
      ];
      const { stdout } = spawnSync("sh", ["-c", `${fakes.join("\n")}\n${script}`], { encoding: "utf8" });
      return stdout.trim().split("\n");
    };

    it("are shares of what each boot has, since the instance type may change", () => {
      expect(limits(8000, 4)).to.deep.equal([
        "buildkit.slice MemoryMax=7200M MemorySwapMax=0M",
        "buildkit-builds.slice MemoryMax=6944M CPUQuota=380%",
      ]);
      expect(
        limits(16_000, 8, { ...PLAIN_GUEST, cpuPercent: 50, memoryPercent: 80, swapPercent: 25 }),
      ).to.deep.equal([
        "buildkit.slice MemoryMax=12800M MemorySwapMax=4000M",
        "buildkit-builds.slice MemoryMax=12544M CPUQuota=400%",
      ]);
    });

    it("leave a small machine's system and daemon what they need", () => {
      expect(limits(960, 1)).to.deep.equal([
        "buildkit.slice MemoryMax=768M MemorySwapMax=0M",
        "buildkit-builds.slice MemoryMax=608M CPUQuota=95%",
      ]);
      expect(limits(1800, 2).at(-1)).to.equal("buildkit-builds.slice MemoryMax=1407M CPUQuota=190%");
      expect(limits(200, 1).at(-1)).to.equal("buildkit-builds.slice MemoryMax=64M CPUQuota=95%");
    });

    it("keep memory for the daemon that no build gets: in its service, and in the slice around it", () => {
      for (const unit of ["buildkit.service", "buildkit.slice"]) {
        expect(contentOf(`/etc/systemd/system/${unit}`)).to.match(/^MemoryMin=160M$/m);
      }
    });

    it("are there before the daemon starts", () => {
      const unit = contentOf("/etc/systemd/system/buildkit.service");
      expect(unit).to.match(/^Requires=buildkit-limit\.service$/m);
      expect(unit).to.match(/^After=network-online\.target buildkit-limit\.service$/m);
    });

    it("leave no build of a daemon that died behind", () => {
      expect(contentOf("/etc/systemd/system/buildkit.service")).to.include(
        "ExecStopPost=-systemctl kill --signal=SIGKILL buildkit-builds.slice\n",
      );
    });

    it("bound the processes of all builds, apart from the daemon's", () => {
      const slice = contentOf("/etc/systemd/system/buildkit-builds.slice", {
        ...PLAIN_GUEST,
        maxProcesses: 500,
      });
      expect(slice).to.include("TasksMax=500\n");
      const config = contentOf("/etc/buildkit/buildkitd.toml");
      expect(config).to.include('defaultCgroupParent = "/buildkit.slice/buildkit-builds.slice"');
    });

    it("end builds before anything else, and the daemon after everything else, when memory runs out", () => {
      const unit = contentOf("/etc/systemd/system/buildkit.service");
      expect(unit)
        .to.include("Slice=buildkit.slice\n")
        .and.to.match(/^OOMScoreAdjust=-[1-9]\d\d$/m);
      expect(unit).to.include("OOMPolicy=continue");
      expect(contentOf("/etc/buildkit/buildkitd.toml")).to.include(
        'binary = "/usr/local/sbin/satellites-runc"',
      );
      const fakes = mkdtempSync(join(tmpdir(), "satellites-runc-"));
      writeFileSync(join(fakes, "buildkit-runc"), '#!/bin/sh\ncat /proc/self/oom_score_adj; echo "$@"\n', {
        mode: 0o755,
      });
      const script = contentOf("/usr/local/sbin/satellites-runc");
      const { stdout } = spawnSync("sh", ["-c", script, "sh", "run", "a b"], {
        encoding: "utf8",
        env: { PATH: `${fakes}:${process.env["PATH"]}` },
      });
      rmSync(fakes, { recursive: true });
      expect(stdout).to.equal("500\nrun a b\n");
    });
  });

  describe("with a data volume", () => {
    const script = contentOf("/usr/local/sbin/satellites-mount-cache", { ...PLAIN_GUEST, dataVolume: true });

    /** What the script does to disks, where `blkid` answers with a status. */
    const run = (blkid: number): { readonly did: string[]; readonly status: number | null } => {
      const fakes = [
        `blkid() { return ${blkid}; }`,
        ...["mkfs.ext4", "mount", "mkdir", "resize2fs"].map((name) => `${name}() { echo "${name} $*"; }`),
        "mountpoint() { return 1; }",
        "findmnt() { echo /dev/nvme0n1p1; }",
        "lsblk() { echo nvme0n1; }",
        'readlink() { case "$2" in /dev/sdf) echo /dev/nvme0n1 ;; /dev/xvdf) echo /dev/nvme1n1 ;; *) return 1 ;; esac; }',
      ];
      // The disks are not there, so that a test of one cannot be the shell's own.
      const check = 'check() { if test "$1" = -b; then true; else test "$@"; fi; }';
      const tested = script.replaceAll(/\[ (.*?) \]/g, "check $1");
      const shell = [...fakes, check, tested].join("\n");
      const { stdout, status } = spawnSync("bash", ["-c", shell], { encoding: "utf8" });
      return { did: stdout.trim().split("\n"), status };
    };

    it("mounts it before the service starts, and waits for it", () => {
      const unit = contentOf("/etc/systemd/system/buildkit.service", { ...PLAIN_GUEST, dataVolume: true });
      expect(unit).to.match(/^Requires=.*buildkit-cache\.service$/m);
      expect(unit).to.match(/^After=.*buildkit-cache\.service$/m);
      expect(contentOf("/etc/systemd/system/buildkit.service")).not.to.include("buildkit-cache");
      expect(contentOf("/usr/local/sbin/satellites-mount-cache")).to.equal("");
    });

    it("makes a file system only on a disk that holds nothing, and never on the root disk", () => {
      expect(run(2).did).to.deep.equal([
        "mkfs.ext4 -q -m 0 /dev/nvme1n1",
        "mkdir -p /var/lib/buildkit",
        "mount -o noatime /dev/nvme1n1 /var/lib/buildkit",
        "resize2fs /dev/nvme1n1",
      ]);
      expect(run(0).did[0]).to.equal("mkdir -p /var/lib/buildkit");
      expect(run(8)).to.deep.equal({ did: [""], status: 1 });
    });
  });

  describe("what BuildKit is told", () => {
    const config = (guest: Partial<BuildkitGuest>): string =>
      contentOf("/etc/buildkit/buildkitd.toml", { ...PLAIN_GUEST, ...guest });

    it("lets no build take down the wall around it, unless the class says so", () => {
      expect(config({})).to.include("insecure-entitlements = []\n");
      expect(config({ insecureEntitlements: ["network.host"] })).to.include(
        'insecure-entitlements = ["network.host"]\n',
      );
    });

    it("names mirrors, the number of steps at once, and what the class adds", () => {
      const extraConfig = "[[worker.oci.gcpolicy]]\nall = true\n";
      const text = config({
        registryMirrors: { "docker.io": ["mirror.example:5000", "other.example/hub"] },
        maxParallelism: 4,
        extraConfig,
      });
      expect(text).to.include(
        '[registry."docker.io"]\nmirrors = ["mirror.example:5000","other.example/hub"]\n',
      );
      expect(text).to.include("max-parallelism = 4\n");
      expect(text.endsWith(extraConfig)).to.equal(true);
      expect(config({})).not.to.include("max-parallelism");
    });

    it("goes through proxies, and trusts private authorities beside the image's own", () => {
      const guest = {
        ...PLAIN_GUEST,
        proxy: { https: "http://proxy.example:3128", noProxy: "10.0.0.0/8,.example" },
        caCertificates: "-----BEGIN CERTIFICATE-----\n",
      };
      expect(contentOf("/etc/buildkit/environment", guest).split("\n")).to.include.members([
        "HTTPS_PROXY=http://proxy.example:3128",
        "https_proxy=http://proxy.example:3128",
        "NO_PROXY=10.0.0.0/8,.example",
        "SSL_CERT_DIR=/etc/buildkit/ca:/etc/ssl/certs",
      ]);
      expect(contentOf("/etc/buildkit/ca/ca.pem", guest)).to.equal(guest.caCertificates);
      expect(contentOf("/etc/systemd/system/buildkit.service")).to.include(
        "EnvironmentFile=-/etc/buildkit/environment\n",
      );
      expect(contentOf("/etc/buildkit/environment")).to.equal("");
    });
  });

  it("leaves 5 of the 16 KB that EC2 lets user data have, so that a class has room for certificates", () => {
    const text = buildkitUserData({ ...PLAIN_GUEST, dataVolume: true });
    expect(Buffer.byteLength(text)).to.be.lessThan(11 * 1024);
  });

  it("cannot be broken out of by what a class says", () => {
    assert(
      property(string({ minLength: 1, maxLength: 64 }), integer({ min: 1, max: 65_535 }), (text, port) => {
        const archive = { url: text, sha256: { [text]: text } };
        const guest = { ...PLAIN_GUEST, version: text, archive, port };
        expect([...files(guest).keys()]).to.deep.equal([...files().keys()]);
        const written = JSON.parse(contentOf("/etc/buildkit/archive.json", guest)) as { version: string };
        expect(written.version).to.equal(text.replace(/^v/, ""));
      }),
    );
  });

  it("names the default version's own releases unless the class names others", () => {
    const archive = (guest: Partial<BuildkitGuest>): { version: string; url: string; sha256: object } =>
      JSON.parse(contentOf("/etc/buildkit/archive.json", { ...PLAIN_GUEST, ...guest })) as never;
    const known = archive({});
    expect(known.version).to.equal(DEFAULT_VERSION);
    expect(known.url).to.match(
      /^https:\/\/github\.com\/moby\/buildkit\/releases\/.*\{architecture\}\.tar\.gz$/,
    );
    expect(Object.keys(known.sha256)).to.deep.equal(["amd64", "arm64"]);
    expect(archive({ version: "0.25.1" }).sha256).to.deep.equal({});
    const sha256 = { amd64: "0".repeat(64) };
    const url = "https://mirror.example/{version}/{architecture}.tgz";
    expect(archive({ version: "v9.9.9", archive: { url, sha256 } })).to.deep.equal({
      version: "9.9.9",
      url: "https://mirror.example/9.9.9/{architecture}.tgz",
      sha256,
    });
  });
});
