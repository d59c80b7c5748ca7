import { expect } from "chai";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { buildkitClass } from "../../src/commands/buildkit-class.ts";
import type { SatelliteClass } from "../../src/satellite/types.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/local/buildkit.yaml");

describe("the local class for BuildKit", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "satellites-class-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("names the version and the checksum of the archive that its VMs fetch", async () => {
    const archive = join(folder, "buildkit-v1.2.3-rc1.linux-amd64.tar.gz");
    writeFileSync(archive, "an archive");
    const { spec } = parse(await buildkitClass(EXAMPLE, archive)) as SatelliteClass;
    expect(spec.guest).to.deep.equal({
      kind: "buildkit",
      version: "1.2.3-rc1",
      archive: {
        url: "http://169.254.169.200/buildkit-v{version}.linux-{architecture}.tar.gz",
        sha256: { amd64: createHash("sha256").update("an archive").digest("hex") },
      },
    });
  });

  it("refuses an archive whose name does not tell the version", async () => {
    const failure = await buildkitClass(EXAMPLE, join(folder, "buildkit.tgz")).catch(
      (error: unknown) => error,
    );
    expect(failure).to.include({ code: "ArchiveName" });
  });
});
