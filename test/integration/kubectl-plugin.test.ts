import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { awake, satellite } from "../router/satellites.ts";
import { ROUTER_RULES, SecuredCluster } from "../support/secured-cluster.ts";
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

  describe("doctor", () => {
    before(async () => {
      await cluster.startRouter("router-0", "--domain=sat.example");
    });

    it("finds what access by a router needs, and what its certificate lacks", async () => {
      const { code, out } = await kubectl("satellite", "doctor", "-n", "team-a");
      expect(out).to.contain("ok    CRDs have all fields of this version");
      expect(out).to.contain(
        "ok    the account of routers has the rights that are needed (system:serviceaccount:satellites:router)",
      );
      expect(out).to.contain("ok    a router is reached: pod satellites/router-0 by port-forward");
      expect(out).to.contain("ok    it asks who calls: tokens for the audience satellites.dev");
      expect(out).to.match(
        /FAIL {2}its certificate bears no names of satellites below sat.example.*\n {6}→ .*\*\.sat\.example/,
      );
      expect(out).to.match(/\? {5}doctor--team-a.sat.example leads nowhere from here/);
      expect(out).to.contain("ok    none of 2 satellites in namespace team-a complains of its machine");
      expect(code).to.equal(1);
    });

    it("names each right that the routers' account lacks", async () => {
      const [satellites, status, tokens] = ROUTER_RULES as [object, object, object];
      await cluster.setRouterRules([{ ...satellites, verbs: ["get", "list", "watch"] }, status, tokens]);
      try {
        const { out } = await kubectl("satellite", "doctor", "-n", "team-a");
        expect(out).to.contain(
          "FAIL  the account of routers, system:serviceaccount:satellites:router, may not patch satellites, create subjectaccessreviews",
        );
      } finally {
        await cluster.setRouterRules(ROUTER_RULES);
      }
    });

    it("marks what somebody without rights may not look at, and says which of their commands will not work", async () => {
      const { out } = await kubectl("satellite", "doctor", "-n", "team-a", "--as", "nobody");
      expect(out).to.match(
        /\? {5}you may not list satellites in namespace team-a\n {6}→ ls, inspect will not work/,
      );
      expect(out).to.match(/\? {5}you may not look: /);
    });
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
