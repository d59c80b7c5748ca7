import { expect } from "chai";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Target, startEmbedded, startReal } from "../conformance/targets.ts";
import { kubeconfig } from "../support/kubeconfig.ts";
import { requireTool } from "../tools/catalog.ts";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const MANIFEST = `apiVersion: satellites.dev/v1alpha1
kind: Satellite
metadata: {name: ada, namespace: default}
spec: {idleTimeout: 10m}
`;

/** What people do with kubectl, on each API server that the product runs with. */
for (const { title, start } of [
  { title: "kube-apiserver", start: startReal },
  { title: "the embedded API server", start: startEmbedded },
]) {
  describe(`kubectl with ${title}`, function () {
    this.timeout(150_000);
    let target: Target;
    let folder: string;

    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "satellites-kubectl-"));
      target = await start();
      const { url, caPem, admin } = target;
      writeFileSync(join(folder, "kubeconfig"), kubeconfig(url, caPem, admin.credentials), { mode: 0o600 });
    });
    after(async () => {
      await target?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    function file(name: string, content: string): string {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    }

    function kubectl(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
      const options = {
        // An empty home keeps discovery caches of other runs away.
        env: { HOME: folder, PATH: process.env["PATH"], KUBECONFIG: join(folder, "kubeconfig"), ...env },
        timeout: 60_000,
      };
      return new Promise((resolve) => {
        execFile(requireTool("kubectl"), args, options, (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
        });
      });
    }

    async function succeeds(args: readonly string[], env?: Record<string, string>): Promise<string> {
      const { code, stdout, stderr } = await kubectl(args, env);
      expect(code, `kubectl ${args.join(" ")}: ${stderr}`).to.equal(0);
      return stdout;
    }

    it("applies a manifest, and finds the same one unchanged", async () => {
      const manifest = file("ada.yaml", MANIFEST);
      expect(await succeeds(["apply", "-f", manifest])).to.equal("satellite.satellites.dev/ada created\n");
      expect(await succeeds(["apply", "-f", manifest])).to.equal("satellite.satellites.dev/ada unchanged\n");
      const changed = file("ada.yaml", MANIFEST.replace("10m", "20m"));
      expect(await succeeds(["apply", "-f", changed])).to.equal("satellite.satellites.dev/ada configured\n");
      expect(await succeeds(["get", "sat", "ada", "-o", "jsonpath={.spec.idleTimeout}"])).to.equal("20m");
    });

    it("lets an apply leave alone the power that was set at run time", async () => {
      await succeeds(["patch", "sat", "ada", "--type=merge", "-p", '{"spec":{"desiredPower":"off"}}']);
      await succeeds(["apply", "-f", file("ada.yaml", MANIFEST)]);
      expect(await succeeds(["get", "sat", "ada", "-o", "jsonpath={.spec.desiredPower}"])).to.equal("off");
    });

    it("prints the columns of the CRD", async () => {
      const [header = "", row = ""] = (await succeeds(["get", "sat"])).split("\n");
      expect(header.trim().split(/\s+/)).to.deep.equal([
        "NAME",
        "POWER",
        "PHASE",
        "AWAKE",
        "SIZE",
        "IDLE",
        "AGE",
      ]);
      expect(row).to.match(/^ada +off +\d+s *$/);
      expect(await succeeds(["get", "satellites.satellites.dev", "-o", "wide"])).to.include("CLASS");
    });

    it("refuses a bare on with what it should be, and changes nothing", async () => {
      const bare = file("bare.yaml", MANIFEST.replace("idleTimeout: 10m", "desiredPower: on"));
      const { code, stderr } = await kubectl(["apply", "-f", bare]);
      expect(code).to.equal(1);
      expect(stderr).to.include("spec.desiredPower").and.include('"on", "off"');
      expect(await succeeds(["get", "sat", "ada", "-o", "jsonpath={.spec.desiredPower}"])).to.equal("off");
    });

    it("waits for a condition", async () => {
      const waiting = succeeds(["wait", "sat/ada", "--for=condition=Ready", "--timeout=30s"]);
      const time = "2026-01-01T00:00:00Z";
      const condition = {
        type: "Ready",
        status: "True",
        reason: "Test",
        message: "",
        lastTransitionTime: time,
      };
      // kubectl believes only a status of the newest generation.
      const status = { phase: "Running", observedGeneration: 1_000_000, conditions: [condition] };
      const patch = JSON.stringify({ status });
      await succeeds(["patch", "sat", "ada", "--subresource=status", "--type=merge", "-p", patch]);
      expect(await waiting).to.equal("satellite.satellites.dev/ada condition met\n");
    });

    it("describes it with its events", async () => {
      const text = await succeeds(["describe", "sat", "ada"]);
      expect(text)
        .to.match(/^Name: +ada$/m)
        .and.match(/^ +Phase: +Running$/m)
        .and.match(/^Events: +<none>$/m);
    });

    it("explains fields from the schema", async () => {
      const text = await succeeds(["explain", "satellite.spec.idleTimeout"]);
      expect(text).to.include("How long nobody may use it before it sleeps");
    });

    it("edits it", async () => {
      const editor = file("editor.sh", '#!/bin/sh\nsed -i "s/idleTimeout: 10m/idleTimeout: 15m/" "$1"\n');
      const text = await succeeds(["edit", "sat", "ada"], { KUBE_EDITOR: `sh ${editor}` });
      expect(text).to.equal("satellite.satellites.dev/ada edited\n");
      expect(await succeeds(["get", "sat", "ada", "-o", "jsonpath={.spec.idleTimeout}"])).to.equal("15m");
    });

    it("labels, selects and deletes", async () => {
      await succeeds(["label", "sat", "ada", "team=x"]);
      expect(await succeeds(["get", "sat", "-l", "team=x", "-o", "name"])).to.equal(
        "satellite.satellites.dev/ada\n",
      );
      expect(await succeeds(["delete", "sat", "ada", "--timeout=30s"])).to.match(/"ada" deleted/);
      expect((await kubectl(["get", "sat", "ada"])).stderr).to.include("NotFound");
    });
  });
}
