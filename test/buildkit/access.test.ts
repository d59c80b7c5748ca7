import { join } from "node:path";
import { expect } from "chai";
import type { Satellite } from "../../src/satellite/types.ts";
import { proxyAddress } from "../clients/proxy-address.ts";
import { startProcess, type TestProcess } from "../support/process.ts";
import { BUILDKIT_SATELLITE } from "../../src/commands/buildkit-class.ts";
import { Builder } from "./builder.ts";

const PLUGIN = join(import.meta.dirname, "../../src/kubectl-satellite.ts");
const NAME = "asked-who";

/** The whole way of a user: a token and TLS to the router, TLS with the VM's own key behind it. */
describe("docker buildx where the router asks who calls", function () {
  this.timeout(1_800_000);
  let builder: Builder;
  let context: string;
  let proxy: TestProcess;

  before(async () => {
    builder = await Builder.start((line) => console.log(`    ${line}`), { accessControl: true });
    context = builder.shop.context("context", ["RUN echo built >/result"]);
    await builder.create({ idleTimeout: "0s" });
    // The kubeconfig names the router, its certificate and the file of the token.
    const environment = {
      PATH: process.env["PATH"],
      HOME: builder.shop.directory,
      KUBECONFIG: builder.system.system.kubeconfig,
    };
    const log = builder.shop.path("proxy.log");
    const args = [PLUGIN, "proxy", BUILDKIT_SATELLITE];
    proxy = await startProcess("proxy", process.execPath, args, log, environment);
    await buildx("create", `--name=${NAME}`, "--driver=remote", await proxyAddress(proxy));
  });
  after(async () => {
    await proxy?.stop("SIGTERM");
    await builder?.close();
  });

  const now = (): Satellite => builder.system.find(BUILDKIT_SATELLITE) ?? expect.fail("it is gone");

  /** docker buildx, which must succeed. @returns what it printed */
  async function buildx(...args: readonly string[]): Promise<string> {
    const { code, output } = await builder.shop.run("buildx", args).ended;
    expect(code, output).to.equal(0);
    return output;
  }

  const build = (): Promise<string> =>
    buildx(
      "build",
      `--builder=${NAME}`,
      "--progress=plain",
      `--output=type=local,dest=${builder.shop.path("out")}`,
      context,
    );

  it("builds, over TLS on both ways", async () => {
    expect(await build()).not.to.match(/^#\d+ CACHED$/m);
    expect(now().status.endpoint?.tls, JSON.stringify(now().status.endpoint)).to.equal("Required");
  });

  it("refuses whoever brings no token, at the same place", async () => {
    const { routerAddress, credentials } = builder.system.system;
    const { code, output } = await builder.shop.run("buildctl", [
      `--addr=tcp://${routerAddress}`,
      `--tlscacert=${credentials?.ca ?? ""}`,
      "debug",
      "workers",
    ]).ended;
    expect(code, output).not.to.equal(0);
    expect(output).to.contain("Unauthenticated");
  });

  it("is listed asleep without a wake, and woken once by a build, whose cache is there", async () => {
    await builder.patch({ idleTimeout: "5s", sleepMode: "Hibernate" });
    await builder.asleep("Hibernated");
    await builder.patch({ idleTimeout: "0s" });
    const { epoch } = now().status.power;
    expect(await buildx("ls")).to.match(new RegExp(`${NAME}0? .*running`));
    expect(now().status.power.epoch, "wakes by buildx ls").to.equal(epoch);
    expect(await build()).to.match(/^#\d+ CACHED$/m);
    expect(now().status.power.epoch - epoch, "wakes by a build").to.equal(1);
  });
});
