import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { DEFAULT_VERSION, wantedArchive } from "../../src/machines/buildkit/guest.ts";

const FOLDER = join(import.meta.dirname, "../../examples/aws/image");
const read = (name: string): string => readFileSync(join(FOLDER, name), "utf8");

interface Template {
  readonly Parameters: Readonly<Record<string, { readonly Default?: string }>>;
  readonly Resources: { readonly Component: { readonly Properties: { readonly Data: string } } };
}

interface Document {
  readonly phases: readonly {
    readonly name: string;
    readonly steps: readonly { readonly action: string; readonly inputs: { readonly commands: string[] } }[];
  }[];
}

/** A script from where its work begins, without comments. */
const work = (script: string): string =>
  script.slice(script.indexOf("archive=")).replaceAll(/^\s*#.*\n/gm, "");

describe("the recipes of images with BuildKit", () => {
  // CloudFormation's short forms are tags that YAML knows nothing of; their arguments are what is read here.
  const template = parse(read("image-builder.yaml"), { logLevel: "silent" }) as Template;
  const document = parse(template.Resources.Component.Properties.Data) as Document;
  const { sha256 } = wantedArchive({});

  it("install the version that a class has unless it names another, so that nothing is left to download", () => {
    expect(template.Parameters["BuildkitVersion"]?.Default).to.equal(DEFAULT_VERSION);
    expect(template.Parameters["BuildkitSha256"]?.Default).to.equal(sha256["amd64"]);
    const packer = read("buildkit.pkr.hcl");
    expect(packer).to.include(`default = "${DEFAULT_VERSION}"`);
    expect(packer).to.include(`amd64 = "${sha256["amd64"]}"`).and.include(`arm64 = "${sha256["arm64"]}"`);
  });

  it("do the same, by Packer and by Image Builder", () => {
    const [build] = document.phases;
    const [command = ""] = build?.steps[0]?.inputs.commands ?? [];
    expect(work(command)).to.equal(work(read("install.sh")));
  });

  it("are checked on the machine before it becomes an image", () => {
    expect(document.phases.map(({ name }) => name)).to.deep.equal(["build", "validate"]);
    expect(document.phases[1]?.steps[0]?.inputs.commands).to.include("buildkitd --version");
  });
});
