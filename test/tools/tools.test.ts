import { expect } from "chai";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  BUILDKIT_NAMES,
  CLUSTER_NAMES,
  describeTool,
  findOnPath,
  findTool,
  INTEROP_NAMES,
  IMAGE_NAMES,
  RELEASE_NAMES,
  pinnedVersion,
  requireTool,
  TOOL_NAMES,
} from "./catalog.ts";
import { isAtLeast } from "./go-build.ts";
import { tryLock } from "./lock.ts";

describe("the tools that tests are run with", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "satellites-tools-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function putProgram(path: string): string {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, "#!/bin/sh\n");
    chmodSync(path, 0o755);
    return path;
  }

  it("are pinned in go.mod, every one", () => {
    for (const name of [
      ...TOOL_NAMES,
      ...BUILDKIT_NAMES,
      ...INTEROP_NAMES,
      ...IMAGE_NAMES,
      ...RELEASE_NAMES,
      ...CLUSTER_NAMES,
    ]) {
      expect(describeTool(name, {}).version, name).to.match(/^\d+\.\d+\.\d+$/);
    }
  });

  it("take their version from the requirement, not from a replacement or a longer path", () => {
    const goMod = [
      "require (",
      "\tk8s.io/kubectl-extra v9.9.9",
      "\tk8s.io/kubectl v0.37.2",
      ")",
      "require example.com/old v2.1.0+incompatible // indirect",
      "replace k8s.io/kubectl => k8s.io/kubectl v0.1.0",
    ].join("\n");
    expect(pinnedVersion(goMod, "k8s.io/kubectl")).to.equal("0.37.2");
    expect(pinnedVersion(goMod, "example.com/old")).to.equal("2.1.0");
    expect(() => pinnedVersion(goMod, "example.com/none")).to.throw("requires no example.com/none");
  });

  it("use one Kubernetes release for client and server", () => {
    const { version } = describeTool("kube-apiserver", {});
    for (const name of ["kubectl", "kubelet", "kube-controller-manager"] as const) {
      expect(describeTool(name, {}).version, name).to.equal(version);
    }
  });

  it("lie in a cache outside of the tree, by version", () => {
    const { binary, version } = describeTool("etcd", { XDG_CACHE_HOME: folder });
    expect(binary).to.equal(join(folder, "satellites", "tools", `etcd-${version}`, "bin", "etcd"));
    expect(findTool("etcd", { XDG_CACHE_HOME: folder })).to.equal(undefined);
    putProgram(binary);
    expect(findTool("etcd", { XDG_CACHE_HOME: folder })).to.equal(binary);
  });

  it("that are written here lie there by their sources, too, so that a change builds them anew", () => {
    const { cacheDir, version } = describeTool("interop-peer", {});
    expect(cacheDir).to.match(new RegExp(`/interop-peer-${version}-[0-9a-f]{8}$`));
  });

  it("come from KUBEBUILDER_ASSETS when that is set, and from nowhere else then", () => {
    const env = { XDG_CACHE_HOME: folder, KUBEBUILDER_ASSETS: join(folder, "assets") };
    putProgram(describeTool("etcd", env).binary);
    expect(() => findTool("etcd", env)).to.throw("KUBEBUILDER_ASSETS");
    const own = putProgram(join(folder, "assets", "etcd"));
    expect(findTool("etcd", env)).to.equal(own);
  });

  it("are asked for with the command that builds them", () => {
    expect(() => requireTool("helm", { XDG_CACHE_HOME: folder })).to.throw("make tools");
  });

  it("may be found on PATH, in its order", () => {
    const env = { PATH: [join(folder, "none"), join(folder, "a"), join(folder, "b")].join(":") };
    putProgram(join(folder, "b", "kubectl"));
    const first = putProgram(join(folder, "a", "kubectl"));
    expect(findOnPath("kubectl", env)).to.equal(first);
    expect(findOnPath("helm", env)).to.equal(undefined);
  });

  it("are built by one process at a time", () => {
    const path = join(folder, "lock");
    const first = tryLock(path);
    expect(first).to.not.equal(undefined);
    expect(tryLock(path)).to.equal(undefined);
    first?.release();
    const second = tryLock(path);
    expect(second).to.not.equal(undefined);
    second?.release();
  });

  it("need a Go that is new enough", () => {
    expect(isAtLeast("go1.26.8", "1.26.0")).to.equal(true);
    expect(isAtLeast("go1.26", "1.26.0")).to.equal(true);
    expect(isAtLeast("go1.27rc1", "1.26.0")).to.equal(true);
    expect(isAtLeast("go1.9.7", "1.26.0")).to.equal(false);
    expect(isAtLeast("go1.25.9", "1.26.0")).to.equal(false);
  });
});
