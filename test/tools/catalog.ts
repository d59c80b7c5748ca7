import { createHash } from "node:crypto";
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Programs that the tests need beside Node. All are written in Go and built from source; see build.ts. */
export const TOOL_NAMES = [
  "kubectl",
  "kube-apiserver",
  "etcd",
  "helm",
  "grpcurl",
  "ghz",
  "h2spec",
  "kstatus",
] as const;

/** BuildKit and its clients, which only `make test-clients` needs, and which are built apart from the others. */
export const BUILDKIT_NAMES = ["buildkitd", "buildctl", "buildx"] as const;

/** grpc-go's own test programs and a peer made of grpc-go, which only `make test-interop` needs. */
export const INTEROP_NAMES = ["interop-peer", "interop-client", "interop-http2"] as const;

/** The linter of workflows, the client of registries, and krew with its validator, which only the tests of releases need. */
export const RELEASE_NAMES = ["actionlint", "crane", "krew", "validate-krew-manifest"] as const;

/** What makes images of machines, which only the tests of its recipes need. */
export const IMAGE_NAMES = ["packer", "packer-plugin-amazon"] as const;

/** What a node is made of beside Debian's containerd, which only `make test-cluster` needs. */
export const CLUSTER_NAMES = [
  "kubelet",
  "kube-controller-manager",
  "kube-scheduler",
  "kube-proxy",
  "coredns",
  "pause",
  "kube-router",
] as const;

/** One of the names above. */
export type ToolName =
  | (typeof TOOL_NAMES)[number]
  | (typeof BUILDKIT_NAMES)[number]
  | (typeof INTEROP_NAMES)[number]
  | (typeof RELEASE_NAMES)[number]
  | (typeof IMAGE_NAMES)[number]
  | (typeof CLUSTER_NAMES)[number];

/** How a tool is built. */
export interface ToolRecipe {
  /** Go module whose pinned version is the tool's version. */
  readonly module: string;
  /** Package of the program, as `go build` takes it. */
  readonly package: string;
  /** Subfolder with a go.mod of its own, for a tool that does not get on with the others. */
  readonly folder?: string;
  /** Folder of a program whose sources are here: where they change it is built anew. */
  readonly sources?: string;
  /** Go variables to set in the linker, so that the program knows its own version. */
  stamps(version: string): Readonly<Record<string, string>>;
}

/**
 * Kubernetes programs learn their version from the linker (kubernetes/hack/lib/version.sh). Without it they
 * call themselves v0.0.0-master, which Helm and kubectl take for a server older than any that they support.
 */
function kubernetesStamps(version: string): Record<string, string> {
  const [major = "", minor = ""] = version.split(".");
  const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: "clean" };
  return Object.fromEntries(
    ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"].flatMap((path) =>
      Object.entries(values).map(([name, value]) => [`${path}.${name}`, value]),
    ),
  );
}

/** A program of the release that kube-apiserver is of. */
function kubernetes(
  program: "kube-apiserver" | "kubelet" | "kube-controller-manager" | "kube-scheduler" | "kube-proxy",
): ToolRecipe {
  return {
    module: "k8s.io/kubernetes",
    package: `k8s.io/kubernetes/cmd/${program}`,
    stamps: kubernetesStamps,
  };
}

function buildkit(program: "buildkitd" | "buildctl"): ToolRecipe {
  return {
    module: "github.com/moby/buildkit",
    package: `github.com/moby/buildkit/cmd/${program}`,
    folder: "buildkit",
    stamps: (version) => ({ "github.com/moby/buildkit/version.Version": `v${version}` }),
  };
}

function krew(program: "krew" | "validate-krew-manifest"): ToolRecipe {
  return {
    module: "sigs.k8s.io/krew",
    package: `sigs.k8s.io/krew/cmd/${program}`,
    folder: "krew",
    stamps: () => ({}),
  };
}

function interop(program: string, sources?: string): ToolRecipe {
  return {
    module: "google.golang.org/grpc",
    package: program,
    folder: "interop",
    ...(sources === undefined ? {} : { sources }),
    stamps: () => ({}),
  };
}

const RECIPES: Readonly<Record<ToolName, ToolRecipe>> = {
  // From k8s.io/kubectl and not k8s.io/kubernetes: half the download, and all of the program.
  kubectl: { module: "k8s.io/kubectl", package: "./kubectl", stamps: kubernetesStamps },
  "kube-apiserver": kubernetes("kube-apiserver"),
  etcd: {
    module: "go.etcd.io/etcd/server/v3",
    package: "go.etcd.io/etcd/server/v3",
    stamps: () => ({}),
  },
  helm: {
    module: "helm.sh/helm/v4",
    package: "helm.sh/helm/v4/cmd/helm",
    stamps: (version) => ({ "helm.sh/helm/v4/internal/version.version": `v${version}` }),
  },
  grpcurl: {
    module: "github.com/fullstorydev/grpcurl",
    package: "github.com/fullstorydev/grpcurl/cmd/grpcurl",
    stamps: (version) => ({ "main.version": `v${version}` }),
  },
  ghz: {
    module: "github.com/bojand/ghz",
    package: "github.com/bojand/ghz/cmd/ghz",
    folder: "ghz",
    stamps: (version) => ({ "main.version": `v${version}` }),
  },
  h2spec: {
    module: "github.com/summerwind/h2spec",
    package: "github.com/summerwind/h2spec/cmd/h2spec",
    stamps: (version) => ({ "main.VERSION": version }),
  },
  // How Flux and others judge an object, behind a main of our own.
  kstatus: { module: "sigs.k8s.io/cli-utils", package: ".", folder: "kstatus", stamps: () => ({}) },
  buildkitd: buildkit("buildkitd"),
  buildctl: buildkit("buildctl"),
  buildx: {
    module: "github.com/docker/buildx",
    package: "github.com/docker/buildx/cmd/buildx",
    folder: "buildkit",
    stamps: (version) => ({ "github.com/docker/buildx/version.Version": `v${version}` }),
  },
  actionlint: {
    module: "github.com/rhysd/actionlint",
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    folder: "release",
    stamps: () => ({}),
  },
  crane: {
    module: "github.com/google/go-containerregistry",
    package: "github.com/google/go-containerregistry/cmd/crane",
    folder: "release",
    stamps: () => ({}),
  },
  packer: {
    module: "github.com/hashicorp/packer",
    package: "github.com/hashicorp/packer",
    folder: "image",
    stamps: () => ({}),
  },
  "packer-plugin-amazon": {
    module: "github.com/hashicorp/packer-plugin-amazon",
    package: "github.com/hashicorp/packer-plugin-amazon",
    folder: "image",
    stamps: (version) => ({
      "github.com/hashicorp/packer-plugin-amazon/version.Version": version,
      "github.com/hashicorp/packer-plugin-amazon/version.VersionPrerelease": "",
    }),
  },
  krew: krew("krew"),
  "validate-krew-manifest": krew("validate-krew-manifest"),
  "interop-peer": interop("./peer", "interop/peer"),
  "interop-client": interop("google.golang.org/grpc/interop/client"),
  "interop-http2": interop("google.golang.org/grpc/interop/http2"),
  kubelet: kubernetes("kubelet"),
  "kube-controller-manager": kubernetes("kube-controller-manager"),
  "kube-scheduler": kubernetes("kube-scheduler"),
  "kube-proxy": kubernetes("kube-proxy"),
  // Of few plugins, behind a main of our own.
  coredns: {
    module: "github.com/coredns/coredns",
    package: "./coredns",
    folder: "cluster",
    sources: "cluster/coredns",
    stamps: () => ({}),
  },
  // Of all that it can do, the node has it enforce NetworkPolicy alone.
  "kube-router": {
    module: "github.com/cloudnativelabs/kube-router/v2",
    package: "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    folder: "policy",
    stamps: (version) => ({ "github.com/cloudnativelabs/kube-router/v2/pkg/version.Version": `v${version}` }),
  },
  // Ours, beside CoreDNS, whose version it bears.
  pause: {
    module: "github.com/coredns/coredns",
    package: "./pause",
    folder: "cluster",
    sources: "cluster/pause",
    stamps: () => ({}),
  },
};

/** A tool with everything that follows from go.mod and the environment. */
export interface Tool {
  readonly name: ToolName;
  /** Without the leading "v"; for Kubernetes programs the release, such as "1.37.2". */
  readonly version: string;
  readonly package: string;
  /** Folder of the go.mod file that pins it. */
  readonly moduleDir: string;
  readonly stamps: Readonly<Record<string, string>>;
  /** Folder of this version in the cache. */
  readonly cacheDir: string;
  /** The built program. */
  readonly binary: string;
}

/** Environment variables that decide where tools are; `process.env` outside of tests of this file. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Version of `module` in the text of a go.mod file, without "v" and build suffix.
 *
 * @throws Error when go.mod does not require the module
 */
export function pinnedVersion(goMod: string, module: string): string {
  for (const line of goMod.split("\n")) {
    const [path, version] = line
      .replace(/^require\s/, "")
      .trim()
      .split(/\s+/);
    if (path === module && version?.startsWith("v")) {
      return version.slice(1).replace(/\+incompatible$/, "");
    }
  }
  throw new Error(`go.mod requires no ${module}; add it with "go get -tool" in its folder`);
}

/** Kubernetes publishes release v1.X.Y of its libraries as v0.X.Y (kubernetes/README, "staging"). */
function releaseOf(module: string, version: string): string {
  return module === "k8s.io/kubectl" ? version.replace(/^0\./, "1.") : version;
}

/** Digest of the files in a folder, short enough for a file name. */
function digestOf(folder: string): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(folder).toSorted()) {
    hash.update(`${file}\0`).update(readFileSync(join(folder, file)));
  }
  return hash.digest("hex").slice(0, 8);
}

/** Resolves a tool: its version as pinned in go.mod, and its place in the cache, which is outside of the tree. */
export function describeTool(name: ToolName, env: Environment = process.env): Tool {
  const recipe = RECIPES[name];
  const moduleDir = join(import.meta.dirname, recipe.folder ?? ".");
  const goMod = readFileSync(join(moduleDir, "go.mod"), "utf8");
  const version = releaseOf(recipe.module, pinnedVersion(goMod, recipe.module));
  const cacheHome = env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const sources =
    recipe.sources === undefined ? "" : `-${digestOf(join(import.meta.dirname, recipe.sources))}`;
  const cacheDir = join(cacheHome, "satellites", "tools", `${name}-${version}${sources}`);
  return {
    name,
    version,
    package: recipe.package,
    moduleDir,
    stamps: recipe.stamps(version),
    cacheDir,
    binary: join(cacheDir, "bin", name),
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The tools of an envtest bundle, which KUBEBUILDER_ASSETS may point at. */
const ENVTEST_TOOLS: ReadonlySet<ToolName> = new Set(["kubectl", "kube-apiserver", "etcd"]);

/**
 * Path of a tool that is there already: from KUBEBUILDER_ASSETS for the programs that envtest brings, else
 * from the cache.
 *
 * @returns undefined when it has to be built first
 * @throws Error when KUBEBUILDER_ASSETS is set but lacks the program: somebody chose it on purpose
 */
export function findTool(name: ToolName, env: Environment = process.env): string | undefined {
  const assets = env["KUBEBUILDER_ASSETS"];
  if (assets && ENVTEST_TOOLS.has(name)) {
    const path = join(assets, name);
    if (!isExecutable(path)) {
      throw new Error(
        `KUBEBUILDER_ASSETS is ${assets}, but there is no program ${name}; correct or unset it`,
      );
    }
    return path;
  }
  const { binary } = describeTool(name, env);
  return isExecutable(binary) ? binary : undefined;
}

/** A program on PATH, or undefined. */
export function findOnPath(program: string, env: Environment = process.env): string | undefined {
  return (env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

/**
 * Like {@link findTool}, for callers that cannot go on without it.
 *
 * @throws Error that says how to build it
 */
export function requireTool(name: ToolName, env: Environment = process.env): string {
  const path = findTool(name, env);
  if (path === undefined) {
    throw new Error(`${name} is not built yet; run "make tools", or "node test/tools/build.ts ${name}"`);
  }
  return path;
}
