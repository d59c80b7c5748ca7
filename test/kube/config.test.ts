import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { SatelliteError } from "../../src/base/errors.ts";
import { contextExtension, currentNamespace, loadKubeConfig } from "../../src/kube/config.ts";

describe("loadKubeConfig", () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "kubeconfig-"));
  });

  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  async function kubeconfig(
    name: string,
    user: object = { token: "t" },
    namespace?: string,
  ): Promise<string> {
    const path = join(directory, name);
    await writeFile(
      path,
      stringify({
        "current-context": name,
        clusters: [{ name, cluster: { server: `https://${name}.example:6443` } }],
        users: [{ name, user }],
        contexts: [{ name, context: { cluster: name, user: name, namespace } }],
      }),
    );
    return path;
  }

  async function serviceAccount(): Promise<string> {
    const mount = join(directory, "serviceaccount");
    await mkdir(mount);
    await writeFile(join(mount, "token"), "pod-token");
    await writeFile(join(mount, "ca.crt"), "ca");
    await writeFile(join(mount, "namespace"), "satellites-system\n");
    return mount;
  }

  const failure = (load: () => unknown): SatelliteError => {
    try {
      load();
    } catch (error) {
      expect(error).to.be.instanceOf(SatelliteError);
      return error as SatelliteError;
    }
    throw new Error("loading was expected to fail");
  };

  it("looks at the path given, KUBECONFIG, the service account and ~/.kube/config, in this order", async () => {
    const given = await kubeconfig("given");
    const environment: Record<string, string | undefined> = {
      KUBECONFIG: await kubeconfig("listed"),
      KUBERNETES_SERVICE_HOST: "10.0.0.1",
      KUBERNETES_SERVICE_PORT: "443",
      HOME: join(directory, "home"),
    };
    await mkdir(join(directory, "home", ".kube"), { recursive: true });
    await kubeconfig("home/.kube/config");
    const serviceAccountDir = await serviceAccount();
    const server = (path?: string): string | undefined =>
      loadKubeConfig({ path, environment, serviceAccountDir }).getCurrentCluster()?.server;

    expect(server(given)).to.equal("https://given.example:6443");
    expect(server()).to.equal("https://listed.example:6443");
    delete environment["KUBECONFIG"];
    expect(server()).to.equal("https://10.0.0.1:443");
    delete environment["KUBERNETES_SERVICE_HOST"];
    expect(server()).to.equal("https://home/.kube/config.example:6443");
    delete environment["HOME"];
    expect(failure(() => server()).code).to.equal("KubeConfigMissing");
  });

  it("reads the pod's token file, authority and namespace, and brackets IPv6 addresses", async () => {
    const serviceAccountDir = await serviceAccount();
    const environment = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    const config = loadKubeConfig({ environment, serviceAccountDir });
    expect(config.getCurrentCluster()).to.deep.include({
      server: "https://[fd00::1]:6443",
      caFile: join(serviceAccountDir, "ca.crt"),
    });
    expect(config.getCurrentUser()?.authProvider).to.deep.equal({
      name: "tokenFile",
      config: { tokenFile: join(serviceAccountDir, "token") },
    });
    expect(currentNamespace(config)).to.equal("satellites-system");
  });

  it("merges the files of KUBECONFIG: the first to name something wins", async () => {
    const first = await kubeconfig("one", { token: "first" }, "apps");
    const second = await kubeconfig("two", { token: "second" });
    const environment = { KUBECONFIG: [first, first, second].join(delimiter) };
    const config = loadKubeConfig({ environment });
    expect(config.getCurrentContext()).to.equal("one");
    expect(currentNamespace(config)).to.equal("apps");
    expect(config.getClusters().map(({ name }) => name)).to.deep.equal(["one", "two"]);
    const other = loadKubeConfig({ environment, context: "two" });
    expect(other.getCurrentUser()?.token).to.equal("second");
    expect(currentNamespace(other)).to.equal("default");
  });

  it("knows tokenFile, relative to the kubeconfig, and prefers it to a token", async () => {
    const path = await kubeconfig("files", { token: "old", tokenFile: "run/token" });
    const user = loadKubeConfig({ path, environment: {} }).getCurrentUser();
    expect(user?.token).to.equal(undefined);
    expect(user?.authProvider).to.deep.equal({
      name: "tokenFile",
      config: { tokenFile: join(directory, "run/token") },
    });
  });

  it("says which file is wrong, and which contexts there are", async () => {
    const missing = join(directory, "missing");
    expect(failure(() => loadKubeConfig({ path: missing, environment: {} })).message).to.contain(missing);
    const broken = join(directory, "broken");
    await writeFile(broken, "clusters: [{name: x}]");
    expect(failure(() => loadKubeConfig({ path: broken, environment: {} })).code).to.equal(
      "KubeConfigInvalid",
    );
    const path = await kubeconfig("dev");
    const error = failure(() => loadKubeConfig({ path, context: "prod", environment: {} }));
    expect(error.message).to.contain('no context "prod"; it has: dev');
  });

  it("reads the extensions of the context that is used, and the folder that their paths count from", async () => {
    const path = join(directory, "extended");
    const entry = (cluster: string, ...extensions: object[]): object => ({
      name: cluster,
      context: { cluster, user: "u", extensions },
    });
    await writeFile(
      path,
      stringify({
        "current-context": "one",
        clusters: [{ name: "one", cluster: { server: "https://one.example" } }],
        users: [{ name: "u", user: {} }],
        contexts: [
          entry("one", { name: "other", extension: {} }, { name: "example.com/x", extension: { a: 1 } }),
          entry("two", { name: "example.com/x", extension: "text" }),
        ],
      }),
    );
    const environment = { KUBECONFIG: [await kubeconfig("first"), path].join(delimiter) };
    const read = (context?: string): unknown => contextExtension({ context, environment }, "example.com/x");
    expect(read()).to.equal(undefined);
    expect(read("one")).to.deep.equal({ value: { a: 1 }, directory });
    expect(read("two")).to.deep.equal({ value: "text", directory });
    const serviceAccountDir = await serviceAccount();
    const pod = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };
    expect(contextExtension({ environment: pod, serviceAccountDir }, "example.com/x")).to.equal(undefined);
  });
});
