import { expect } from "chai";
import { assert, integer, property, string } from "fast-check";
import { spawnSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { buildkitUserData, type BuildkitGuest } from "../../src/machines/buildkit-user-data.ts";
import { fingerprintOf } from "../../src/router/vm-dial.ts";

interface CloudConfig {
  readonly write_files: readonly {
    readonly path: string;
    readonly content: string;
    readonly permissions: string;
  }[];
  readonly runcmd: readonly (readonly string[])[];
}

const GUEST: BuildkitGuest = {
  port: 8372,
  tls: "Required",
  cpuPercent: 95,
  memoryPercent: 90,
  diskReservePercent: 15,
};

function files(guest: BuildkitGuest = GUEST): Map<string, string> {
  const { write_files: written } = parse(buildkitUserData(guest)) as CloudConfig;
  return new Map(written.map(({ path, content }) => [path, content]));
}

const contentOf = (path: string, guest?: BuildkitGuest): string => files(guest).get(path) ?? "";

describe("BuildKit's user data", () => {
  it("is a cloud-config that starts the service", () => {
    const text = buildkitUserData(GUEST);
    expect(text.startsWith("#cloud-config\n")).to.equal(true);
    expect((parse(text) as CloudConfig).runcmd.at(-1)).to.include.members(["enable", "buildkit.service"]);
  });

  it("lets BuildKit listen on the satellite's port", () => {
    const config = contentOf("/etc/buildkit/buildkitd.toml", { ...GUEST, port: 9000 });
    expect(config).to.include('"tcp://0.0.0.0:9000"');
    expect(config).not.to.include("8372");
  });

  it("lets BuildKit serve TLS with a key of the machine's own, and plain text only where the class says so", () => {
    const tls =
      '[grpc.tls]\n    cert = "/etc/buildkit/tls/cert.pem"\n    key = "/etc/buildkit/tls/key.pem"\n';
    expect(contentOf("/etc/buildkit/buildkitd.toml")).to.include(tls);
    const makesKey = "ExecStartPre=/usr/local/sbin/satellites-make-key\n";
    expect(contentOf("/etc/systemd/system/buildkit.service")).to.include(makesKey);
    const plain = buildkitUserData({ ...GUEST, tls: "Off" });
    expect(plain).not.to.match(/tls|satellites-make-key/);
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
    const config = contentOf("/etc/buildkit/buildkitd.toml", { ...GUEST, diskReservePercent: 20 });
    expect(config).to.include('minFreeSpace = "20%"').and.to.include('maxUsedSpace = "80%"');
  });

  it("limits memory by share, and ends builds before anything else when memory runs out", () => {
    expect(contentOf("/etc/systemd/system/buildkit.slice")).to.include("MemoryMax=90%");
    const unit = contentOf("/etc/systemd/system/buildkit.service");
    expect(unit).to.include("Slice=buildkit.slice");
    expect(unit).to.match(/^OOMScoreAdjust=[1-9]\d*$/m);
    expect(unit).to.include("OOMPolicy=continue");
  });

  it("counts the CPU quota from the CPUs of each boot, since the instance type may change", () => {
    const script = contentOf("/usr/local/sbin/satellites-limit-cpu");
    const shell = `nproc() { echo 4; }; systemctl() { echo "$@"; }; ${script}`;
    const { stdout } = spawnSync("sh", ["-c", shell], { encoding: "utf8" });
    expect(stdout.trim()).to.equal("set-property --runtime buildkit.slice CPUQuota=380%");
    expect(contentOf("/etc/systemd/system/buildkit.service")).to.include("Requires=buildkit-cpu.service");
  });

  it("refuses an image with another version, and only where one is named", () => {
    const check = (found: string): number | null => {
      const script = contentOf("/usr/local/sbin/satellites-check-version", { ...GUEST, version: "0.25.1" });
      const shell = `buildkitd() { echo "buildkitd github.com/moby/buildkit ${found} abc"; }; ${script}`;
      return spawnSync("sh", ["-c", shell]).status;
    };
    expect(check("v0.25.1")).to.equal(0);
    expect(check("v0.25.10")).to.equal(1);
    expect(contentOf("/etc/systemd/system/buildkit.service")).not.to.include("satellites-check-version");
  });

  describe("with a data volume", () => {
    const script = contentOf("/usr/local/sbin/satellites-mount-cache", { ...GUEST, dataVolume: true });

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
      const unit = contentOf("/etc/systemd/system/buildkit.service", { ...GUEST, dataVolume: true });
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

  it("cannot be broken out of by a version", () => {
    assert(
      property(string({ minLength: 1, maxLength: 64 }), integer({ min: 1, max: 65_535 }), (version, port) => {
        const text = buildkitUserData({ ...GUEST, version, port });
        expect(Buffer.byteLength(text)).to.be.lessThan(16_384);
        expect([...files({ ...GUEST, version, port }).keys()]).to.have.length(7);
      }),
    );
    const script = contentOf("/usr/local/sbin/satellites-check-version", {
      ...GUEST,
      version: "'; touch /tmp/broken-out; '",
    });
    const shell = `buildkitd() { echo "buildkitd x v1 y"; }; touch() { echo broken; }; ${script}`;
    expect(spawnSync("sh", ["-c", shell], { encoding: "utf8" }).stdout).to.equal("");
  });
});
