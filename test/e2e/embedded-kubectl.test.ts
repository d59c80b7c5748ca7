import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { expect } from "chai";
import { writeKubeconfig } from "../../src/local/kubernetes/kubeconfig.ts";
import { startKubernetesServer, type KubernetesServer } from "../../src/local/kubernetes/server.ts";
import { requireTool } from "../tools/catalog.ts";
import { TOKEN } from "../local/kubernetes/support.ts";

const run = promisify(execFile);
const KUBECTL = requireTool("kubectl");
const CRD_FOLDER = join(import.meta.dirname, "..", "..", "crds");
const USER = { name: "tester", groups: ["system:masters"], token: TOKEN };
const MANIFEST = `
apiVersion: satellites.dev/v1alpha1
kind: Satellite
metadata: {name: ada}
spec: {idleTimeout: 10m}
`;

describe("kubectl against the embedded server, with the product's CRDs", function () {
  this.timeout(60_000);
  let folder: string;
  let server: KubernetesServer;
  let manifest: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "kubectl-"));
    server = await startKubernetesServer({
      stateDir: join(folder, "state"),
      crdPaths: readdirSync(CRD_FOLDER).map((file) => join(CRD_FOLDER, file)),
      users: [USER],
    });
    writeKubeconfig(join(folder, "kubeconfig"), { url: server.url, caPem: server.caPem, user: USER });
    manifest = join(folder, "ada.yaml");
    writeFileSync(manifest, MANIFEST);
  });

  after(async () => {
    await server?.close();
    if (folder !== undefined) {
      rmSync(folder, { recursive: true });
    }
  });

  const environment = (): NodeJS.ProcessEnv => ({
    PATH: process.env["PATH"],
    HOME: folder,
    KUBECONFIG: join(folder, "kubeconfig"),
  });
  const kubectl = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await run(KUBECTL, args, { env: environment() });
    return stdout + stderr;
  };
  const failure = (...args: string[]): Promise<string> =>
    kubectl(...args).then(
      (output) => {
        throw new Error(`kubectl ${args.join(" ")} should have failed, but said: ${output}`);
      },
      (error: { stderr: string }) => error.stderr,
    );

  it("creates, and then has nothing to change", async () => {
    expect(await kubectl("apply", "-f", manifest)).to.contain("ada created");
    expect(await kubectl("apply", "-f", manifest)).to.contain("ada unchanged");
  });

  it("shows the columns of the CRD", async () => {
    expect(await kubectl("get", "sat")).to.match(/^NAME +POWER +PHASE +AWAKE +SIZE +IDLE +AGE *\nada +on /);
    expect(await kubectl("get", "sat", "-o", "wide")).to.contain("CLASS");
    expect(await kubectl("get", "satellites-dev")).to.contain("ada");
  });

  it("describes, explains and waits", async () => {
    expect(await kubectl("describe", "sat", "ada"))
      .to.contain("Idle Timeout:")
      .and.to.contain("Events:");
    expect(await kubectl("explain", "satellite.spec.idleTimeout")).to.contain("FIELD: idleTimeout <string>");
    expect(await kubectl("wait", "sat/ada", "--for=jsonpath={.spec.desiredPower}=on")).to.contain(
      "condition met",
    );
  });

  it("patches, labels and edits, and get -w sees it", async () => {
    const watch = spawn(KUBECTL, ["get", "sat", "-w"], {
      env: environment(),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(watch, "exit");
    const lines = createInterface({ input: watch.stdout })[Symbol.asyncIterator]();
    try {
      expect((await lines.next()).value).to.match(/^NAME/);
      expect((await lines.next()).value).to.match(/^ada +on/);
      await kubectl("patch", "sat", "ada", "--type=merge", "-p", '{"spec":{"desiredPower":"off"}}');
      expect((await lines.next()).value).to.match(/^ada +off/);
    } finally {
      watch.kill();
      await exited;
    }
    await kubectl("label", "sat", "ada", "team=a");
    await kubectl("annotate", "sat", "ada", "note=b");
    expect(await kubectl("get", "sat", "-l", "team=a", "-o", "name")).to.contain("ada");
    const edit = await run(KUBECTL, ["edit", "sat", "ada"], {
      env: { ...environment(), EDITOR: "sed -i s/amd64/arm64/" },
    });
    expect(edit.stdout).to.contain("edited");
    expect(await kubectl("get", "sat", "ada", "-o", "jsonpath={.spec.architecture}")).to.equal("arm64");
  });

  it("says what is wrong with a bare on, an unknown field and a wrong duration", async () => {
    const bad = join(folder, "bad.yaml");
    const complaint = async (spec: string): Promise<string> => {
      writeFileSync(bad, MANIFEST.replace("{idleTimeout: 10m}", spec).replace("name: ada", "name: bad"));
      return failure("apply", "-f", bad);
    };
    expect(await complaint("{desiredPower: true}")).to.contain("spec.desiredPower");
    expect(await complaint("{idle: 5m}")).to.contain('unknown field "spec.idle"');
    expect(await complaint("{idleTimeout: 1s}")).to.contain('at least "5s"');
  });

  it("creates namespaces, secrets and config maps, which it sends as protobuf", async () => {
    await kubectl("create", "namespace", "team");
    await kubectl("create", "secret", "generic", "s", "--from-literal=key=välue", "-n", "team");
    await kubectl("create", "configmap", "c", "--from-literal=key=välue", "-n", "team");
    expect(await kubectl("get", "configmap", "c", "-n", "team", "-o", "jsonpath={.data.key}")).to.equal(
      "välue",
    );
    const secret = await kubectl("get", "secret", "s", "-n", "team", "-o", "jsonpath={.data.key}");
    expect(Buffer.from(secret, "base64").toString()).to.equal("välue");
    expect(await kubectl("auth", "can-i", "create", "satellites")).to.contain("yes");
    await kubectl("delete", "namespace", "team");
    expect(await failure("get", "namespace", "team")).to.contain("NotFound");
  });

  it("answers clearly that server-side apply is not offered", async () => {
    expect(await failure("apply", "--server-side", "-f", manifest)).to.contain(
      "Server-side apply not available",
    );
  });

  it("deletes and waits until it is gone", async () => {
    expect(await kubectl("delete", "-f", manifest)).to.contain("deleted");
    expect(await kubectl("get", "sat")).to.contain("No resources found");
  });
});
