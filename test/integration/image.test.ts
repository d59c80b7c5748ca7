import { credentials, Metadata } from "@grpc/grpc-js";
import { expect } from "chai";
import { execFile, execFileSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { connectGuest } from "../../src/guest/client.ts";
import { type Command, ChartRelease, type Launch, type RunningPod } from "../support/chart-release.ts";
import { eventually } from "../support/eventually.ts";
import { createTestAuthority } from "../support/pki.ts";
import { freePort, isReady } from "../support/process.ts";
import { startVirtualAccount, type VirtualAccount } from "../support/virtual-account.ts";

const ROOT = join(import.meta.dirname, "../..");
const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/default/satellites";
const CLASSES = "/apis/satellites.dev/v1alpha1/satelliteclasses";
const ACCOUNT_DIR = "var/run/secrets/kubernetes.io/serviceaccount";

/** Of these a dependency's own build has put some lines into its files, which its own source maps tell. */
const INLINED = ["tslib", "@js-sdsl/.build-data"];

interface BillOfMaterials {
  readonly bomFormat: string;
  readonly components: readonly {
    readonly type: string;
    readonly name: string;
    readonly version: string;
    readonly purl?: string;
    readonly licenses?: readonly { readonly expression: string }[];
    readonly hashes?: readonly { readonly content: string }[];
  }[];
}

/** The last word on an instruction in the Dockerfile's final stage. */
function instruction(name: string): string {
  const [, value = ""] =
    [...readFileSync(join(ROOT, "Dockerfile"), "utf8").matchAll(new RegExp(`^${name} (.*)$`, "gm"))].at(-1) ??
    [];
  return value;
}

/**
 * The image's root file system and its bundle. No container runtime is needed: the programs run with that folder as
 * their root, as the user and by the entry point that the Dockerfile names.
 */
describe("the container image's root", function () {
  this.timeout(240_000);
  const entrypoint = JSON.parse(instruction("ENTRYPOINT")) as string[];
  const [uid = ""] = instruction("USER").split(":");
  let directory: string;
  let root: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "satellites-image-"));
    root = join(directory, "root");
    const build = (script: string, ...args: string[]): Buffer =>
      execFileSync(process.execPath, [join(ROOT, "build", script), ...args]);
    build("bundle.ts", join(directory, "bundle"));
    build("image-root.ts", root, join(directory, "bundle"));
    // The kubelet gives every container these.
    writeFileSync(join(root, "etc/hosts"), "127.0.0.1 localhost\n");
    // mkdtemp makes folders for their owner alone, and the programs run as somebody else.
    execFileSync("chmod", ["755", directory]);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  /** A program with the image's root as its root, as the image's user, and nothing of this process's environment. */
  function inImage(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Command {
    const isRoot = process.getuid?.() === 0;
    const [program, flags] = isRoot
      ? ["/usr/sbin/chroot", [`--userspec=${uid}:${uid}`, root]]
      : ["/usr/bin/unshare", ["--user", `--map-user=${uid}`, `--map-group=${uid}`, `--root=${root}`]];
    return { program, args: [...flags, ...args], environment: { PATH: "/usr/bin", ...environment } };
  }

  function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const { program, args: all, environment } = inImage(args);
    return new Promise((resolve) => {
      execFile(program, all, { env: environment }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
      );
    });
  }

  it("holds Node.js, its libraries, the bundle and papers, and nothing that runs but these", () => {
    const files = globSync("**", { cwd: root }).filter((path) => statSync(join(root, path)).isFile());
    const places = new Set(
      files.map((path) =>
        path.replace(/^(app\/chunks|usr\/share\/doc|var\/lib\/dpkg\/status\.d)\/.*/, "$1/"),
      ),
    );
    const libraries = [...places].filter((path) => /^(?:usr\/)?lib/.test(path));
    expect(
      libraries.filter((path) => !/\/(?:ld-linux.*|lib\w+(?:\+\+)?)\.so\.\d+$/.test(path)),
    ).to.deep.equal([]);
    expect([...places].filter((path) => !libraries.includes(path)).toSorted()).to.deep.equal([
      "app/THIRD-PARTY-LICENSES.txt",
      "app/chunks/",
      "app/kubectl-satellite.mjs",
      "app/kubectl-satellite.mjs.map",
      "app/satellites.mjs",
      "app/satellites.mjs.map",
      "app/sbom.cdx.json",
      "etc/group",
      "etc/hosts",
      "etc/nsswitch.conf",
      "etc/passwd",
      "usr/bin/node",
      "usr/share/doc/",
      "var/lib/dpkg/status.d/",
    ]);
  });

  it("has an entry point that runs there", async () => {
    const { code, stdout } = await run([...entrypoint, "--help"]);
    expect(code).to.equal(0);
    expect(stdout).to.include("Usage: satellites");
  });

  it("runs as a user that is not root and owns nothing there", async () => {
    const script =
      "console.log(process.getuid(), process.getgid()); fs.writeFileSync('/app/satellites.mjs', '')";
    const { code, stdout, stderr } = await run(["/usr/bin/node", "--eval", script]);
    expect(stdout).to.equal(`${uid} ${uid}\n`);
    expect(Number(uid)).to.be.greaterThan(0);
    expect(code).to.equal(1);
    expect(stderr).to.include("EACCES");
  });

  it("finds host names", async () => {
    const script = "dns.lookup('localhost', (error, address) => console.log(error ?? address))";
    expect((await run(["/usr/bin/node", "--eval", script])).stdout).to.equal("127.0.0.1\n");
  });

  for (const command of ["local", "demo", "local-kubernetes", "local-ec2"]) {
    it(`says that "${command}" needs the source tree`, async () => {
      const required: Record<string, string[]> = {
        "local-kubernetes": ["--state-dir=/x", "--users=/x", "--crds=/x"],
        "local-ec2": ["--state-dir=/x", "--setup=/x"],
      };
      const { code, stderr } = await run([...entrypoint, command, ...(required[command] ?? [])]);
      expect(code).to.equal(1);
      expect(stderr).to.include("SourceTreeNeeded");
      expect(stderr).to.include(`node src/main.ts ${command}`);
    });
  }

  it("lists in its bill of materials every package that the bundle holds code of", () => {
    const bom = JSON.parse(readFileSync(join(root, "app/sbom.cdx.json"), "utf8")) as BillOfMaterials;
    const maps = globSync("app/**/*.map", { cwd: root }).map((path) =>
      readFileSync(join(root, path), "utf8"),
    );
    const sources = maps.flatMap((text) => (JSON.parse(text) as { sources: string[] }).sources);
    const bundled = new Set(
      sources.flatMap((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
    );
    expect(bom.bomFormat).to.equal("CycloneDX");
    expect([...bundled]).to.include.members(["undici", "@aws-sdk/client-ec2", "@grpc/grpc-js"]);
    const libraries = bom.components.filter(({ type }) => type === "library");
    expect(
      libraries.map(({ name }) => name),
      "of what browsers are served too",
    ).to.include("uplot");
    for (const name of INLINED) {
      bundled.delete(name);
    }
    expect([...bundled].filter((name) => !libraries.some((each) => each.name === name))).to.deep.equal([]);
    for (const { name, version, purl, licenses, hashes } of libraries) {
      expect(purl).to.equal(`pkg:npm/${name.replace("@", "%40")}@${version}`);
      expect(licenses, name).to.have.length(1);
      expect(hashes?.[0]?.content, name).to.match(/^[0-9a-f]{40,128}$/);
    }
    const node = bom.components.find(({ name }) => name === "node");
    expect(`v${node?.version ?? ""}`).to.equal(process.version);
  });

  it("carries the licences of what it brings along", () => {
    const texts = readFileSync(join(root, "app/THIRD-PARTY-LICENSES.txt"), "utf8");
    expect(texts).to.match(/^undici [\d.]+, MIT$/m);
    const papers = globSync("usr/share/doc/*/copyright", { cwd: root }).map((path) => path.split("/")[3]);
    expect(papers).to.include.members(["nodejs", "libc6", "libstdc++6"]);
  });

  describe("in a pod of the chart", () => {
    let release: ChartRelease;
    let account: VirtualAccount;
    let pod: RunningPod;
    let routerPort: number;
    let pagePort: number;
    let caPem: string;

    before(async () => {
      account = await startVirtualAccount();
      release = await ChartRelease.start();
      routerPort = await freePort();
      pagePort = await freePort();
      await mountCertificate();
      const [operatorHealth, routerHealth] = [await freePort(), await freePort()];
      await release.apply({
        listenHost: "127.0.0.1",
        operator: {
          ec2Endpoint: account.url,
          healthPort: operatorHealth,
          page: { enabled: true, port: pagePort },
        },
        router: {
          port: routerPort,
          healthPort: routerHealth,
          graceSeconds: 5,
          access: { mode: "kubernetes" },
          tls: { secretName: "router-tls" },
        },
      });
      await eventually("classes are served", async () => {
        return (await release.admin.request("GET", CLASSES)).status === 200;
      });
      const localClass = parse(readFileSync(join(ROOT, "examples/local/class.yaml"), "utf8")) as object;
      await release.created(CLASSES, localClass);
      pod = await release.startPod("sat-satellites", "image-0", asKubelet);
      for (const port of [operatorHealth, routerHealth]) {
        await eventually("the program is ready", async () => {
          const dead = [...pod.programs.values()].find((program) => !program.isRunning());
          if (dead !== undefined) {
            throw new Error(`${dead.name} ended: ${dead.logTail()}`);
          }
          return isReady(port);
        });
      }
    });
    after(async () => {
      await release?.stop();
      await account?.stop();
    });

    /** Puts a certificate where the chart mounts the Secret's files. */
    async function mountCertificate(): Promise<void> {
      const authority = await createTestAuthority("image test authority");
      const { cert, key } = await authority.issueServer();
      caPem = authority.caPem;
      mkdirSync(join(root, "tls"));
      writeFileSync(join(root, "tls/tls.crt"), cert);
      writeFileSync(join(root, "tls/tls.key"), key);
    }

    it("serves its page, with all that it needs, from the bundle", async () => {
      const get = async (path: string): Promise<string> => {
        const answer = await fetch(`http://127.0.0.1:${pagePort}/${path}`);
        expect(answer.status, path).to.equal(200);
        return answer.text();
      };
      const asked = [...(await get("")).matchAll(/(?:href|src)="(assets\/[^"]+)"/g)];
      const texts = new Map<string, string>();
      for (const [, path = ""] of asked) {
        texts.set(path, await get(path));
      }
      expect([...texts.keys()]).to.have.members(["assets/page.css", "assets/page.js"]);
      expect(texts.get("assets/page.js"), "nothing else is to be loaded").to.not.match(/\bfrom\s*"/);
      expect(texts.get("assets/page.css")).to.contain(".u-over").and.to.contain("--Asleep");
    });

    /** A token of an account that may use Satellites everywhere. */
    async function callersToken(): Promise<string> {
      const rbac = "/apis/rbac.authorization.k8s.io/v1";
      await release.created(`${rbac}/clusterroles`, {
        metadata: { name: "caller" },
        rules: [{ apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] }],
      });
      await release.created(`${rbac}/clusterrolebindings`, {
        metadata: { name: "caller" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "caller" },
        subjects: [{ kind: "ServiceAccount", name: "ci", namespace: "default" }],
      });
      return release.server.createServiceAccountToken("default", "ci", { audiences: ["satellites.dev"] });
    }

    /** Mounts the account's token where pods have it, and says by the environment where the API server is. */
    function asKubelet({ args, token, environment }: Launch): Command {
      const folder = join(root, ACCOUNT_DIR);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "token"), token);
      writeFileSync(join(folder, "ca.crt"), release.server.caPem);
      writeFileSync(join(folder, "namespace"), "sat-system");
      const { hostname, port } = new URL(release.server.url);
      return inImage([...entrypoint, ...args], {
        ...environment,
        KUBERNETES_SERVICE_HOST: hostname,
        KUBERNETES_SERVICE_PORT: port,
      });
    }

    it("reaches the API server as pods do, launches a VM, and brings a request to it by TLS", async () => {
      await release.created(SATELLITES, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata: { name: "ada" },
        spec: {},
      });
      const metadata = new Metadata();
      metadata.set("satellite-name", "ada");
      metadata.set("satellite-namespace", "default");
      metadata.set("authorization", `Bearer ${await callersToken()}`);
      const tls = credentials.createSsl(Buffer.from(caPem));
      const guest = connectGuest(`localhost:${routerPort}`, { metadata, credentials: tls });
      try {
        expect((await guest.describe(90_000)).bootId).to.not.equal("");
      } finally {
        guest.close();
      }
    });

    it("runs both programs with the image as their root, as the image's user", () => {
      for (const { pid } of pod.programs.values()) {
        const ids = /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]?.split("\t");
        // Where the test itself is not root, another name for its own user is seen from outside.
        const seen = process.getuid?.() === 0 ? uid : String(process.getuid?.());
        expect(ids).to.deep.equal([seen, seen, seen, seen]);
      }
    });

    it("ends in order at SIGTERM", async () => {
      for (const program of pod.programs.values()) {
        program.signal("SIGTERM");
      }
      const codes = await Promise.all([...pod.programs.values()].map(({ ended }) => ended));
      expect(codes).to.deep.equal([0, 0]);
    });
  });
});
