import { join } from "node:path";
import { expect } from "chai";
import { imageConfigOf, readImageConfig } from "../../../build/release/dockerfile.ts";
import { readManifest } from "../../../build/release/sources.ts";

const ROOT = join(import.meta.dirname, "../../..");

describe("the image's configuration", () => {
  it("is what the Dockerfile says, with the version of package.json", () => {
    const { Labels, ...config } = readImageConfig(ROOT);
    expect(config).to.deep.equal({
      Env: ["PATH=/usr/bin", "NODE_ENV=production"],
      User: "65532:65532",
      ExposedPorts: { "8372/tcp": {}, "8081/tcp": {}, "8082/tcp": {} },
      Entrypoint: ["/usr/bin/node", "--max-semi-space-size=8", "/app/satellites.mjs"],
      Cmd: ["--help"],
    });
    const { version, description, license } = readManifest(ROOT);
    expect(description).to.not.equal("");
    expect(Labels).to.include({
      "org.opencontainers.image.title": "satellites",
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.licenses": license,
    });
    expect(Labels["org.opencontainers.image.description"]).to.contain("sleep when idle");
  });

  it("takes no instruction for nothing", () => {
    const dockerfile =
      "FROM a AS build\nWORKDIR /src\nFROM scratch\nCOPY --from=build /image/ /\nVOLUME /data\n";
    expect(() => imageConfigOf(dockerfile)).to.throw("do not know VOLUME");
  });
});
