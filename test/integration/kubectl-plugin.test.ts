import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { awake, satellite } from "../router/satellites.ts";
import { SecuredCluster } from "../support/secured-cluster.ts";
import { requireTool } from "../tools/catalog.ts";

const ENTRY = join(import.meta.dirname, "../../src/kubectl-satellite.ts");

/** The plug-in as kubectl itself starts it, beside kubectl's own commands. */
describe("kubectl satellite, started by kubectl", function () {
  this.timeout(120_000);
  let cluster: SecuredCluster;
  let home: string;

  before(async () => {
    home = mkdtempSync(join(tmpdir(), "satellites-plugin-"));
    const plugin = join(home, "kubectl-satellite");
    writeFileSync(plugin, `#!/bin/sh\nexec "${process.execPath}" "${ENTRY}" "$@"\n`);
    chmodSync(plugin, 0o755);
    cluster = await SecuredCluster.start();
    await cluster.putSatellite(awake());
    await cluster.putSatellite(satellite({ name: "bob" }));
  });
  after(async () => {
    await cluster?.stop();
    rmSync(home, { recursive: true });
  });

  const environment = (): NodeJS.ProcessEnv => ({
    PATH: `${home}:${process.env["PATH"] ?? ""}`,
    HOME: home,
    KUBECONFIG: cluster.server.adminKubeconfig,
  });

  function kubectl(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    return new Promise((resolve) => {
      execFile(requireTool("kubectl"), args, { env: environment() }, (error, out, err) => {
        resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err });
      });
    });
  }

  /** Without the spaces that end lines, and with ages, which go on, made alike. */
  const table = (text: string): string => text.replaceAll(/ +$/gm, "").replaceAll(/\b\d+s\b/g, "0s");

  it("prints the tables that kubectl get prints, byte for byte", async () => {
    for (const flags of [["-A"], ["-n", "team-a"], ["-n", "team-a", "-o", "wide"], ["-A", "-o", "name"]]) {
      const own = await kubectl("satellite", "ls", ...flags);
      const theirs = await kubectl("get", "satellites", ...flags);
      expect(own.code, own.err).to.equal(0);
      expect(table(own.out), flags.join(" ")).to.equal(table(theirs.out));
    }
  });

  it("refuses in the words of kubectl: no right, no such satellite, nobody to impersonate", async () => {
    for (const [command, words] of [
      ["ls", ["-n", "team-a", "--as", "nobody"]],
      ["ls", ["-n", "team-a", "none"]],
    ] as const) {
      const own = await kubectl("satellite", command, ...words);
      const theirs = await kubectl("get", "satellites", ...words);
      const reason = /^Error from server \(\w+\)/.exec(theirs.err)?.[0] ?? "none";
      expect(own.err).to.contain(reason);
      expect(own.code).to.equal(theirs.code);
    }
  });

  it("says its version, and ends a watch with the status of SIGINT", async () => {
    expect((await kubectl("satellite", "--version")).out).to.match(/^\d+\.\d+\.\d+\n$/);
    const watch = spawn(process.execPath, [ENTRY, "ls", "-A", "-w"], { env: environment() });
    const ended = once(watch, "close");
    await once(watch.stdout, "data");
    watch.kill("SIGINT");
    expect((await ended)[0]).to.equal(130);
  });
});
