import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { stringify } from "yaml";
import { loadKubeConfig } from "../../src/kube/config.ts";

interface View {
  readonly "current-context": string;
  readonly clusters:
    | readonly { readonly name: string; readonly cluster: { readonly server: string } }[]
    | null;
  readonly users: readonly { readonly name: string; readonly user: { readonly token?: string } }[] | null;
  readonly contexts: readonly { readonly name: string }[] | null;
}

describe("kubeconfigs are read as kubectl reads them", () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "kubectl-parity-"));
    await mkdir(join(directory, "sub"));
    const write = (name: string, config: object | string): Promise<void> =>
      writeFile(join(directory, name), typeof config === "string" ? config : stringify(config));
    const config = (name: string, server: string, current?: string): object => ({
      ...(current === undefined ? {} : { "current-context": current }),
      clusters: [{ name, cluster: { server: `https://${server}` } }],
      users: [{ name, user: { token: server } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    });
    await write("good", config("a", "good", "a"));
    await write("same", config("a", "same"));
    await write("sub/other", config("b", "other", "b"));
    await write("no-context", config("c", "no-context"));
    await write("empty", "");
    await write("comment", "# nothing yet\n");
    await write("dashes", "---\n");
    await write("not-yaml", "clusters: [");
    await write("a-list", "[]");
    await write("twice", {
      clusters: ["x", "y"].map((host) => ({ name: "a", cluster: { server: `https://${host}` } })),
    });
    await write("unfinished", {
      clusters: [{ name: "q" }],
      users: [{ name: "q" }],
      contexts: [{ name: "q" }],
    });
  });

  after(() => rm(directory, { recursive: true }));

  /** What kubectl makes of the list, or undefined where it refuses it. */
  async function kubectl(list: string, context?: string): Promise<View | undefined> {
    const args = ["config", "view", "--raw", "-o", "json"];
    if (context !== undefined) {
      args.push("--minify", "--context", context);
    }
    try {
      const env = { KUBECONFIG: list, HOME: directory, PATH: "/usr/bin:/bin" };
      const { stdout } = await promisify(execFile)("kubectl", args, { env });
      return JSON.parse(stdout) as View;
    } catch (error) {
      expect(error).to.have.property("code", 1);
      return undefined;
    }
  }

  const LISTS = [
    ["missing", "good"],
    ["empty", "good"],
    ["comment", "dashes", "good"],
    ["good", "missing", "sub/other"],
    ["sub/other", "good"],
    ["same", "good"],
    ["good", "same"],
    ["good", "good"],
    ["no-context", "sub/other", "good"],
    ["", "good"],
    ["unfinished", "good"],
    ["not-yaml", "good"],
    ["good", "not-yaml"],
    ["a-list", "good"],
    ["twice", "good"],
    [".", "good"],
  ];
  for (const names of LISTS) {
    it(`KUBECONFIG=${names.join(":")}`, async () => {
      const list = names.map((name) => (name === "" ? "" : join(directory, name))).join(delimiter);
      const view = await kubectl(list);
      const load = (context?: string): ReturnType<typeof loadKubeConfig> =>
        loadKubeConfig({ environment: { KUBECONFIG: list, HOME: directory }, context });
      if (view === undefined) {
        expect(() => load())
          .to.throw()
          .with.property("code", "KubeConfigInvalid");
        return;
      }
      const ours = load();
      expect(ours.getCurrentContext()).to.equal(view["current-context"]);
      expect(Object.fromEntries(ours.getClusters().map(({ name, server }) => [name, server]))).to.deep.equal(
        Object.fromEntries(
          (view.clusters ?? [])
            .filter(({ cluster }) => cluster.server !== "")
            .map(({ name, cluster }) => [name, cluster.server]),
        ),
      );
      for (const { name, user } of view.users ?? []) {
        expect(ours.getUser(name)?.token, name).to.equal(user.token);
      }
      for (const { name } of (view.contexts ?? []).filter((context) => context.name !== "q")) {
        const minified = await kubectl(list, name);
        expect(load(name).getCurrentCluster()?.server).to.equal(minified?.clusters?.[0]?.cluster.server);
      }
      expect(await kubectl(list, "nowhere")).to.equal(undefined);
      expect(() => load("nowhere")).to.throw('no context "nowhere"');
    });
  }

  it("takes relative paths of files and of a plugin's command from the file that they stand in", async () => {
    await writeFile(
      join(directory, "sub", "paths"),
      stringify({
        "current-context": "p",
        clusters: [{ name: "p", cluster: { server: "https://p", "certificate-authority": "pki/ca" } }],
        users: [
          {
            name: "p",
            user: {
              "client-certificate": "c",
              "client-key": "../k",
              exec: { apiVersion: "client.authentication.k8s.io/v1", command: "./bin/login" },
            },
          },
          { name: "path", user: { exec: { command: "login" } } },
        ],
        contexts: [{ name: "p", context: { cluster: "p", user: "p" } }],
      }),
    );
    const config = loadKubeConfig({ path: join(directory, "sub", "paths"), environment: {} });
    expect(config.getCurrentCluster()?.caFile).to.equal(join(directory, "sub/pki/ca"));
    expect(config.getCurrentUser()).to.deep.include({
      certFile: join(directory, "sub/c"),
      keyFile: join(directory, "k"),
    });
    const command = (name: string): unknown => Reflect.get(Object(config.getUser(name)?.exec), "command");
    expect(command("p")).to.equal(join(directory, "sub/bin/login"));
    expect(command("path")).to.equal("login");
  });

  it("says which files of KUBECONFIG are not there", () => {
    const environment = { KUBECONFIG: join(directory, "gone"), HOME: directory };
    expect(() => loadKubeConfig({ environment, serviceAccountDir: join(directory, "gone") })).to.throw(
      `no file that KUBECONFIG names is there: ${join(directory, "gone")}`,
    );
  });
});
