import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { BuildKitD } from "../clients/buildkitd.ts";
import { findOnPath, requireTool } from "../tools/catalog.ts";

const ROOT = join(import.meta.dirname, "../..");
const CHART_FILE = join(ROOT, "charts/satellites/Chart.yaml");
/** The oldest commit with a chart and a Dockerfile: both were 0.1.0 then. */
const FIRST_COMMIT = "9d45f02e961e2bf4ace2265293726a6e33a0e1e1";
/** Tag of the image that is built from that commit. */
export const FIRST_TAG = "first";

/** Registry and repository of the product's image: nobody serves it, so that nothing can be pulled by mistake. */
export const REPOSITORY = "registry.example/satellites";
/** Holds a pod's namespaces. */
export const PAUSE_IMAGE = "registry.example/pause:test";
/** Answers names. */
export const DNS_IMAGE = "registry.example/coredns:test";
/** Debian's Prometheus. */
export const PROMETHEUS_IMAGE = "registry.example/prometheus:test";

/** The version that the chart installs unless told otherwise. */
export function chartVersion(): string {
  return (parse(readFileSync(CHART_FILE, "utf8")) as { appVersion: string }).appVersion;
}

interface Build {
  readonly image: string;
  readonly context: string;
  readonly dockerfile: string;
  /** Folders by the name of the stage or image that each takes the place of. */
  readonly contexts?: Readonly<Record<string, string>>;
}

/**
 * Builds the images of a node with BuildKit, as archives that containerd imports.
 *
 * The product's comes from the Dockerfile's last stage. The first one would pull a base and install npm packages; what
 * it does after that, bundling and laying out the root, is done on this machine, with the same two programs.
 *
 * @param directory gets the archives, and what they are made of
 * @returns paths of the archives
 */
export async function buildImages(directory: string): Promise<string[]> {
  const daemon = await BuildKitD.start();
  try {
    return [
      build(daemon, directory, product(directory, ROOT, chartVersion())),
      build(daemon, directory, single(directory, "coredns", DNS_IMAGE)),
      build(daemon, directory, single(directory, "pause", PAUSE_IMAGE)),
      build(daemon, directory, installed(directory, "prometheus", PROMETHEUS_IMAGE)),
    ];
  } finally {
    await daemon.stop();
  }
}

/** @param root sources, with the packages that they need */
function product(directory: string, root: string, tag: string): Build {
  const [bundle, built, context] = ["bundle", "built", "nothing"].map((name) => join(directory, tag, name));
  mkdirSync(built ?? "", { recursive: true });
  mkdirSync(context ?? "");
  const node = (...args: string[]): Buffer => execFileSync(process.execPath, args, { cwd: root });
  node("build/bundle.ts", bundle ?? "");
  node("build/image-root.ts", join(built ?? "", "image"), bundle ?? "");
  return {
    image: `${REPOSITORY}:${tag}`,
    context: context ?? "",
    dockerfile: root,
    contexts: { build: built ?? "" },
  };
}

/** Where the chart of the first release is, in a folder that {@link buildFirstRelease} has filled. */
export const firstChart = (directory: string): string =>
  join(directory, FIRST_TAG, "source/charts/satellites");

/**
 * Builds the image of the first release in the same way, from its own sources, packages and Dockerfile.
 *
 * @param directory gets the archive, and the sources with the chart
 * @returns why that cannot be done here; undefined when it has been
 */
export async function buildFirstRelease(directory: string): Promise<string | undefined> {
  try {
    execFileSync("git", ["cat-file", "-e", `${FIRST_COMMIT}^{commit}`], { cwd: ROOT, stdio: "ignore" });
  } catch {
    return `the history has no commit ${FIRST_COMMIT}: get it whole, as by "git fetch --unshallow"`;
  }
  const source = join(directory, FIRST_TAG, "source");
  mkdirSync(source, { recursive: true });
  const run = (program: string, args: string[], cwd: string): Buffer =>
    execFileSync(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 });
  const archive = join(directory, FIRST_TAG, "source.tar");
  run("git", ["archive", `--output=${archive}`, FIRST_COMMIT], ROOT);
  run("tar", ["--extract", `--file=${archive}`], source);
  rmSync(archive);
  // Node.js is this one, which is what that commit's lock file names, too.
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], source);
  const daemon = await BuildKitD.start();
  try {
    build(daemon, directory, product(directory, source, FIRST_TAG));
  } finally {
    await daemon.stop();
  }
  rmSync(join(source, "node_modules"), { recursive: true });
  return undefined;
}

/** An image of one program. */
function single(directory: string, tool: "coredns" | "pause", image: string): Build {
  const context = join(directory, tool);
  mkdirSync(context);
  copyFileSync(requireTool(tool), join(context, tool));
  const lines = ["FROM scratch", `COPY ${tool} /${tool}`, `ENTRYPOINT ["/${tool}"]`, ""];
  writeFileSync(join(context, "Dockerfile"), lines.join("\n"));
  return { image, context, dockerfile: context };
}

/** An image of a program that is installed here, with the libraries that it is linked with. */
function installed(directory: string, name: string, image: string): Build {
  const program = findOnPath(name);
  if (program === undefined) {
    throw new Error(`${name} is not installed`);
  }
  const context = join(directory, name);
  const root = join(context, "root");
  const libraries = [...execFileSync("ldd", [program], { encoding: "utf8" }).matchAll(/(\/\S+) \(0x/g)];
  mkdirSync(root, { recursive: true });
  copyFileSync(program, join(root, name));
  for (const [, library = ""] of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
  const lines = ["FROM scratch", "COPY root/ /", `ENTRYPOINT ["/${name}"]`, ""];
  writeFileSync(join(context, "Dockerfile"), lines.join("\n"));
  return { image, context, dockerfile: context };
}

function build(
  daemon: BuildKitD,
  directory: string,
  { image, context, dockerfile, contexts }: Build,
): string {
  const archive = join(directory, `${image.replaceAll(/[/:]/g, "-")}.tar`);
  const named = Object.entries(contexts ?? {}).flatMap(([name, folder]) => [
    `--opt=context:${name}=local:${name}`,
    `--local=${name}=${folder}`,
  ]);
  execFileSync(
    requireTool("buildctl"),
    [
      `--addr=tcp://127.0.0.1:${daemon.port}`,
      "build",
      "--progress=plain",
      "--frontend=dockerfile.v0",
      `--local=context=${context}`,
      `--local=dockerfile=${dockerfile}`,
      ...named,
      `--output=type=docker,name=${image},dest=${archive},compression=uncompressed`,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  return archive;
}
