import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { BuildKitD } from "../clients/buildkitd.ts";
import { requireTool } from "../tools/catalog.ts";

const ROOT = join(import.meta.dirname, "../..");
const CHART_FILE = join(ROOT, "charts/satellites/Chart.yaml");

/** Registry and repository of the product's image: nobody serves it, so that nothing can be pulled by mistake. */
export const REPOSITORY = "registry.example/satellites";
/** Holds a pod's namespaces. */
export const PAUSE_IMAGE = "registry.example/pause:test";
/** Answers names. */
export const DNS_IMAGE = "registry.example/coredns:test";

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
      build(daemon, directory, product(directory)),
      build(daemon, directory, single(directory, "coredns", DNS_IMAGE)),
      build(daemon, directory, single(directory, "pause", PAUSE_IMAGE)),
    ];
  } finally {
    await daemon.stop();
  }
}

function product(directory: string): Build {
  const [bundle, built] = [join(directory, "bundle"), join(directory, "built")];
  mkdirSync(built, { recursive: true });
  const node = (...args: string[]): Buffer => execFileSync(process.execPath, args, { cwd: ROOT });
  node("build/bundle.ts", bundle);
  node("build/image-root.ts", join(built, "image"), bundle);
  const context = join(directory, "nothing");
  mkdirSync(context);
  return {
    image: `${REPOSITORY}:${chartVersion()}`,
    context,
    dockerfile: ROOT,
    contexts: { build: built },
  };
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
