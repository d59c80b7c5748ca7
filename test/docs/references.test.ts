import { existsSync, globSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect } from "chai";
import { deadLinks, headingsOf, PAGES, read, ROOT } from "./pages.ts";

const SOURCES = globSync("{src,test,build,bench}/**/*.ts", { cwd: ROOT }).toSorted();

/** Folders that a path of this repository begins with; other paths are of VMs, containers and other projects. */
const PATH = /(?<![\w./@-])(?:src|test|docs|build|bench|charts|crds|examples)\/[\w./*{},-]*[\w*}]/g;
/** A name of a source file without its folder. */
const FILE_NAME = /(?<![\w./*-])[a-z][\w.-]*\.(?:ts|md)\b/g;
const FLAG = /(?<![\w-])--[a-z][a-z0-9-]+/g;

/** Flags of other programs that pages and comments speak of, by program. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  aws: [
    "--query",
    "--cluster-name",
    "--addon-name",
    "--role-name",
    "--role-arn",
    "--assume-role-policy-document",
    "--policy-name",
    "--policy-document",
    "--repository-name",
    "--service-code",
    "--quota-code",
  ],
  "aws ec2": [
    "--resources",
    "--tags",
    "--instance-ids",
    "--instance-id",
    "--filters",
    "--latest",
    "--group-name",
    "--description",
    "--vpc-id",
    "--tag-specifications",
    "--group-id",
    "--protocol",
    "--source-group",
  ],
  eksctl: ["--cluster", "--approve"],
  base64: ["--decode"],
  "cluster-autoscaler": ["--max-graceful-termination-sec"],
  docker: ["--username", "--password-stdin", "--tag", "--build-arg", "--platform", "--build-context"],
  helm: ["--create-namespace", "--force", "--reset-then-reuse-values", "--reuse-values"],
  curl: ["--fail", "--show-error"],
  buildctl: ["--addr", "--local", "--tlscacert", "--tlscert", "--tlskey", "--tlsservername", "--filter"],
  "docker buildx": ["--driver-opt", "--append", "--push"],
  gh: ["--jq"],
  krew: ["--manifest"],
  "kube-apiserver": ["--min-request-timeout"],
  kubectl: [
    "--verb",
    "--resource",
    "--resource-name",
    "--role",
    "--serviceaccount",
    "--audience",
    "--as",
    "--as-group",
    "--filename",
    "--patch",
    "--overwrite",
    "--replicas",
  ],
  journalctl: ["--unit"],
  node: ["--enable-source-maps"],
  npm: ["--global", "--package-lock-only"],
  skopeo: ["--all"],
};
const FOREIGN_FLAGS: ReadonlySet<string> = new Set(Object.values(FOREIGN).flat());
/** Flags that a comment only imagines. */
const IMAGINED: ReadonlySet<string> = new Set(["--flag"]);
/** Folders of other projects that are named like ours. */
const FOREIGN_PATHS: ReadonlySet<string> = new Set(["docs/interop/qmp-spec", "docs/buildkitd.toml.md"]);

/** The comments of a source file, line by line, without their marks. */
function comments(file: string): string {
  const found = read(file).match(/\/\*\*?[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm) ?? [];
  return found.map((text) => text.replaceAll(/^\s*\*(?!\/) ?/gm, "")).join("\n");
}

const TEXTS: readonly { readonly file: string; readonly text: string }[] = [
  ...PAGES.map((file) => ({ file, text: read(file) })),
  ...SOURCES.map((file) => ({ file, text: comments(file) })),
];

/** A path from the root, or from the file that names it; decisions are also named by number alone. */
function exists(path: string, folder: string): boolean {
  const pattern = /^docs\/decisions\/\d{4}$/.test(path) ? `${path}-*.md` : path;
  return [ROOT, join(ROOT, folder)].some((cwd) => globSync(pattern, { cwd }).length > 0);
}

/** Flags of our own commands: of `satellites`, and of what `node` runs in build, bench and test. */
function ownFlags(): Set<string> {
  const files = globSync(
    "{src/command-line.ts,src/cli/command-line.ts,site/*.ts,{build,bench,test}/**/*.ts}",
    {
      cwd: ROOT,
    },
  );
  return new Set(
    files
      .map(read)
      .flatMap((text) => [
        ...[...text.matchAll(/["'](?:-\w, )?(--[a-z][a-z0-9-]+)/g)].map(([, flag = ""]) => flag),
        ...[...text.matchAll(/"?\b([a-z][a-z0-9-]+)"?: \{\s*type: "(?:string|boolean)"/g)].map(
          ([, name = ""]) => `--${name}`,
        ),
      ]),
  );
}

describe("references in pages and comments", () => {
  it("by links lead to files and sections", () => {
    expect(deadLinks()).to.deep.equal([]);
  });

  it("by path lead to files", () => {
    const dead = TEXTS.flatMap(({ file, text }) =>
      [...new Set(text.match(PATH) ?? [])]
        .filter((path) => !FOREIGN_PATHS.has(path) && !exists(path, dirname(file)))
        .map((path) => `${file}: ${path}`),
    );
    expect(dead).to.deep.equal([]);
  });

  it("by name lead to files", () => {
    const names = new Set([...PAGES, ...SOURCES].map((file) => basename(file)));
    const dead = TEXTS.flatMap(({ file, text }) =>
      [...new Set(text.match(FILE_NAME) ?? [])]
        .filter((name) => !names.has(name))
        .map((name) => `${file}: ${name}`),
    );
    expect(dead).to.deep.equal([]);
  });

  it("by title lead to sections", () => {
    const dead = TEXTS.flatMap(({ file, text }) =>
      [...text.matchAll(/(?<page>docs\/[\w/-]+\.md), "(?<title>[^"]+)"/g)]
        .filter(
          ({ groups }) =>
            !existsSync(join(ROOT, groups?.["page"] ?? "")) ||
            !headingsOf(groups?.["page"] ?? "").includes(groups?.["title"] ?? ""),
        )
        .map(([reference]) => `${file}: ${reference}`),
    );
    expect(dead).to.deep.equal([]);
  });

  it("by make target lead to the Makefile", () => {
    const targets = new Set([...read("Makefile").matchAll(/^([\w-]+):/gm)].map(([, target]) => target));
    const dead = TEXTS.flatMap(({ file, text }) =>
      [...text.matchAll(/`(?:\S+ && )?make ([\w-]+)/g)]
        .filter(([, target]) => !targets.has(target))
        .map(([, target]) => `${file}: make ${target ?? ""}`),
    );
    expect(dead).to.deep.equal([]);
  });

  it("by flag lead to a command of ours, or are known as another program's", () => {
    const known = new Set([...ownFlags(), ...FOREIGN_FLAGS, ...IMAGINED]);
    const dead = TEXTS.flatMap(({ file, text }) =>
      [...new Set(text.match(FLAG) ?? [])]
        .filter((flag) => !known.has(flag))
        .map((flag) => `${file}: ${flag}`),
    );
    expect(dead).to.deep.equal([]);
  });
});
