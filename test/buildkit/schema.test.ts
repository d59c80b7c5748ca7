import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ensurePrerequisites, STOCK_PREREQUISITES } from "../../src/local/qemu/prerequisites.ts";
import { ensureTree } from "../../src/local/qemu/stock-image.ts";
import type { BuildkitGuest } from "../../src/machines/buildkit/guest.ts";
import { buildkitUserData } from "../../src/machines/buildkit/user-data.ts";
import { PLAIN_GUEST } from "../support/buildkit-guest.ts";

const GUESTS: Readonly<Record<string, BuildkitGuest>> = {
  "of a class that says nothing": PLAIN_GUEST,
  "with a data volume and without TLS": { ...PLAIN_GUEST, tls: "Off", dataVolume: true },
  "of a class that says everything": {
    ...PLAIN_GUEST,
    dataVolume: true,
    version: "1.2.3",
    archive: {
      url: "https://mirror.example/{version}/{architecture}.tgz",
      sha256: { amd64: "0".repeat(64) },
    },
    proxy: { http: "http://proxy.example:3128", https: "http://proxy.example:3128", noProxy: ".example" },
    registryMirrors: { "docker.io": ["mirror.example"] },
    caCertificates: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    maxParallelism: 4,
    insecureEntitlements: ["network.host"],
    extraConfig: "[[worker.oci.gcpolicy]]\nall = true\n",
  },
};

/** cloud-init's own check, by the cloud-init of stock Debian. */
describe("BuildKit's user data, to cloud-init's schema", function () {
  this.timeout(900_000);
  let tree: string;

  before(async () => {
    const tools = await ensurePrerequisites({
      path: process.env["PATH"] ?? "",
      mayInstall: false,
      isRoot: true,
      progress: () => {},
      prerequisites: STOCK_PREREQUISITES,
    });
    const cacheDirectory = process.env["SATELLITES_CACHE"] ?? join(homedir(), ".cache/satellites");
    tree = await ensureTree({ cacheDirectory, tools, progress: (line) => console.log(`    ${line}`) });
  });

  function check(userData: string): { readonly status: number | null; readonly said: string } {
    const folder = mkdtempSync(join(tmpdir(), "satellites-schema-"));
    const file = join(folder, `${basename(folder)}.yaml`);
    const inTree = join(tree, "tmp", basename(file));
    try {
      writeFileSync(file, userData);
      copyFileSync(file, inTree);
      const args = [tree, "cloud-init", "schema", "--config-file", join("/tmp", basename(file))];
      const { status, stdout, stderr } = spawnSync("chroot", args, { encoding: "utf8" });
      return { status, said: stdout + stderr };
    } finally {
      rmSync(inTree, { force: true });
      rmSync(folder, { recursive: true });
    }
  }

  for (const [what, guest] of Object.entries(GUESTS)) {
    it(`is valid ${what}`, () => {
      const { status, said } = check(buildkitUserData(guest));
      expect(status, said).to.equal(0);
      expect(said).to.contain("Valid cloud-config");
    });
  }

  it("would not be with a key that cloud-init does not know", () => {
    const wrong = buildkitUserData(PLAIN_GUEST).replace("permissions:", "permission:");
    const { status, said } = check(wrong);
    expect(status).not.to.equal(0);
    expect(said).to.contain("permission");
  });
});
