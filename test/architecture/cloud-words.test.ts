import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** Words of one cloud. */
const WORDS =
  /\bEC2\b|\bec2\b|\bAWS\b|\bEBS\b|\bIAM\b|\bAMI\b|\bVPC\b|instance(?!of\b)|subnet|security ?group/i;

/** Where a bound or a rule comes from: a page by its title, or the page about EC2. */
const CITATIONS =
  /\((?:EC2|AWS|IAM)[\w\s*]*(?:guide|reference|Calculator)(?:,[\s*]*"[^"]*")?\)|\(docs\/ec2\.md(?:, "[^"]*")?\)/g;

/** What may stand there all the same, and why. */
const EXCEPTIONS: readonly { readonly file: string; readonly text: string; readonly why: string }[] = [
  {
    file: "src/operator/older-status.ts",
    text: "/** `status.launch.details`",
    why: "an older version wrote the details of a launch in EC2 as fields of their own; the function reads them",
  },
  {
    file: "src/operator/operator.ts",
    text: "instance: options.leaderElection.identity",
    why: "`reportingInstance` of a Kubernetes event",
  },
  {
    file: "test/operator/another-cloud.test.ts",
    text: "const OTHERS_WORDS =",
    why: "what the messages of another cloud must not say",
  },
  {
    file: "test/operator/another-cloud.test.ts",
    text: 'expect(own.spec).not.to.have.property("ec2")',
    why: "what the class of another cloud must not have",
  },
];

/** Files that are about one cloud, and why. */
const ABOUT_ONE: Readonly<Record<string, string>> = {
  "src/satellite/types.ts": "generated from the CRDs, where each cloud has its block",
  "test/operator/older-launch.test.ts": "an older version knew EC2 alone, and what it wrote is sent to EC2",
};

/** The lines that name EC2, as "file: line", without citations and exceptions. */
function linesOf(file: string, text: string): string[] {
  const known = EXCEPTIONS.filter((exception) => exception.file === file).reduce(
    (rest, exception) => withoutDeclaration(rest, exception.text),
    text,
  );
  return known
    .replaceAll(CITATIONS, "")
    .split("\n")
    .filter((line) => WORDS.test(line))
    .map((line) => `${file}: ${line.trim()}`);
}

/** The source without what stands from `text` on: to the end of its line, or of the function whose comment it begins. */
function withoutDeclaration(source: string, text: string): string {
  const at = source.indexOf(text);
  if (at < 0) {
    return source;
  }
  const end = source.indexOf(text.startsWith("/**") ? "\n}\n" : "\n", at);
  return source.slice(0, at) + source.slice(end < 0 ? source.length : end);
}

describe("the rooms that know no cloud, and the operator's tests", () => {
  const files = ["src/operator", "src/page", "src/satellite", "test/operator"]
    .flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }))
    .filter((file) => ABOUT_ONE[file] === undefined);
  const sources = files.map((file) => [file, readFileSync(join(ROOT, file), "utf8")] as const);

  it("do not use the words of one", () => {
    expect(sources.flatMap(([file, text]) => linesOf(file, text))).to.deep.equal([]);
  });

  it("still have what they are allowed to say", () => {
    const unused = EXCEPTIONS.filter(
      ({ file, text }) => sources.find(([name]) => name === file)?.[1].includes(text) !== true,
    );
    expect(unused).to.deep.equal([]);
    for (const file of Object.keys(ABOUT_ONE)) {
      expect(readFileSync(join(ROOT, file), "utf8"), file).to.match(WORDS);
    }
  });

  it("would be found out", () => {
    for (const line of [
      'message: "EC2 does not show it",',
      "satelliteClass.spec.ec2.rootVolume",
      "/** The instance's type. */",
      "const isInstanceId = true;",
      'check("that the security group lets routers in");',
      "subnets: [],",
    ]) {
      expect(linesOf("src/operator/any.ts", line), line).to.have.length(1);
    }
    const cited = '/** Reads lag (EC2 API reference, "Eventual\n * consistency"). */';
    expect(linesOf("src/operator/any.ts", cited)).to.deep.equal([]);
  });
});
