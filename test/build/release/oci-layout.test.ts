import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import { packFolder } from "../../../build/release/archive.ts";
import { type Descriptor, OciLayout } from "../../../build/release/oci-layout.ts";

const CONFIG = {
  Env: ["PATH=/usr/bin"],
  User: "1:1",
  ExposedPorts: {},
  Entrypoint: ["/a"],
  Cmd: [],
  Labels: { title: "a" },
};

describe("an OCI image layout", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "oci-layout-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Files of an image, made in this order, at this time. */
  function makeFiles(name: string, order: readonly string[], seconds: number, mode = 0o644): string {
    const root = join(folder, name);
    for (const file of order) {
      mkdirSync(join(root, file, ".."), { recursive: true });
      writeFileSync(join(root, file), `content of ${file}`, { mode });
      chmodSync(join(root, file), mode);
      utimesSync(join(root, file), seconds, seconds);
    }
    return root;
  }

  function build(name: string, root: string): { index: Descriptor; layout: string } {
    const layout = join(folder, name);
    const made = new OciLayout(layout, folder);
    const layers = [{ folder: root, seconds: 1000, description: "files" }];
    const images = (["amd64", "arm64"] as const).map((each) => made.addImage(each, CONFIG, layers, 2000));
    return { index: made.finish(images, { title: "a" }, "1.0.0"), layout };
  }

  const blob = (layout: string, digest: string): Buffer =>
    readFileSync(join(layout, "blobs", digest.replace(":", "/")));
  const json = (layout: string, { digest }: Descriptor): Record<string, unknown> =>
    JSON.parse(blob(layout, digest).toString()) as Record<string, unknown>;

  it("is the same, byte for byte, however and whenever its files were made", () => {
    const one = build("one", makeFiles("files-1", ["b", "a", "c/d"], 5, 0o644));
    const two = build("two", makeFiles("files-2", ["c/d", "a", "b"], 99, 0o664));
    expect(two.index.digest).to.equal(one.index.digest);
    for (const { layout } of [one, two]) {
      packFolder(layout, `${layout}.tar`, 2000);
    }
    expect(readFileSync(`${two.layout}.tar`).equals(readFileSync(`${one.layout}.tar`))).to.equal(true);
    const three = build("three", makeFiles("files-3", ["a", "b"], 5));
    expect(three.index.digest).to.not.equal(one.index.digest);
  });

  it("names each blob by its hash, and layers by what is in them", () => {
    const { layout, index } = build("layout", makeFiles("files", ["a"], 5));
    for (const name of readdirSync(join(layout, "blobs/sha256"))) {
      expect(
        createHash("sha256")
          .update(blob(layout, `sha256:${name}`))
          .digest("hex"),
      ).to.equal(name);
    }
    const manifests = json(layout, index)["manifests"] as Descriptor[];
    expect(manifests.map(({ platform }) => platform?.architecture)).to.deep.equal(["amd64", "arm64"]);
    for (const descriptor of manifests) {
      const { config, layers } = json(layout, descriptor) as { config: Descriptor; layers: [Descriptor] };
      const archive = gunzipSync(blob(layout, layers[0].digest));
      const diffId = `sha256:${createHash("sha256").update(archive).digest("hex")}`;
      expect(json(layout, config)).to.deep.include({
        os: "linux",
        created: "1970-01-01T00:33:20.000Z",
        config: CONFIG,
        rootfs: { type: "layers", diff_ids: [diffId] },
      });
    }
  });
});
