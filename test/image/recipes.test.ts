import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pythonWith } from "../support/python-package.ts";
import { requireTool } from "../tools/catalog.ts";

const FOLDER = join(import.meta.dirname, "../../examples/aws/image");

interface Ended {
  readonly status: number | null;
  readonly output: string;
}

/** The recipes, by the programs that would take them. */
describe("the recipes of images with BuildKit, by their own tools", function () {
  this.timeout(300_000);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "satellites-image-"));
    cpSync(FOLDER, folder, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function run(program: string, args: readonly string[]): Ended {
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      cwd: folder,
      encoding: "utf8",
      env: {
        PATH: process.env["PATH"],
        HOME: folder,
        CHECKPOINT_DISABLE: "1",
        PACKER_CONFIG_DIR: join(folder, "packer"),
        PACKER_NO_COLOR: "1",
      },
    });
    return { status, output: `${stdout}${stderr}${error === undefined ? "" : String(error)}` };
  }

  function change(name: string, from: string, to: string): void {
    const text = readFileSync(join(folder, name), "utf8");
    expect(text).to.include(from);
    writeFileSync(join(folder, name), text.replaceAll(from, to));
  }

  describe("Packer", () => {
    const packer = (...args: string[]): Ended => run(requireTool("packer"), args);

    beforeEach(() => {
      const plugin = requireTool("packer-plugin-amazon");
      const { status, output } = packer(
        "plugins",
        "install",
        "--path",
        plugin,
        "github.com/hashicorp/amazon",
      );
      expect(status, output).to.equal(0);
    });

    for (const architecture of ["amd64", "arm64"]) {
      it(`takes the template for ${architecture}`, () => {
        const { status, output } = packer(
          "validate",
          "-var=region=eu-west-1",
          `-var=architecture=${architecture}`,
          ".",
        );
        expect(status, output).to.equal(0);
      });
    }

    it("finds the template formatted", () => {
      const { status, output } = packer("fmt", "-check", "-diff", ".");
      expect(status, output).to.equal(0);
    });

    it("would refuse what the plug-in does not know", () => {
      change("buildkit.pkr.hcl", "ssh_username  =", "ssh_user_name =");
      const { status, output } = packer("validate", "-var=region=eu-west-1", ".");
      expect(status, output).not.to.equal(0);
      expect(output).to.include("ssh_user_name");
    });
  });

  describe("cfn-lint", () => {
    let lint: (...args: string[]) => Ended;

    before(async () => {
      const python = await pythonWith({ name: "cfn-lint", version: "1.58.0", module: "cfnlint" });
      if (typeof python !== "string") {
        throw new Error(python.missing);
      }
      lint = (...args) => run(join(dirname(python), "cfn-lint"), args);
    });

    it("takes Image Builder's template, in every region that it knows types for", () => {
      const { status, output } = lint("--regions", "eu-west-1", "us-east-1", "--", "image-builder.yaml");
      expect(status, output).to.equal(0);
    });

    it("would refuse a property that there is not", () => {
      change("image-builder.yaml", "ParentImage: !Ref", "BaseImage: !Ref");
      const { status, output } = lint("image-builder.yaml");
      expect(status, output).not.to.equal(0);
      expect(output).to.include("BaseImage");
    });
  });
});
