import { expect } from "chai";
import { eventually } from "../support/eventually.ts";
import { Installation, TLS_CLASS, type RouterProcess } from "../support/installation.ts";
import { newIdentity, TlsVm } from "../support/tls-vm.ts";

/** VMs serve TLS with keys of their own; operator and router are processes, and the router's news are late. */
describe("an address that was given to another tenant's VM", function () {
  this.timeout(180_000);
  let product: Installation;
  let router: RouterProcess;
  let stranger: TlsVm | undefined;

  before(async () => {
    product = await Installation.start({ changeMs: 200, leaseSeconds: 15 });
    router = await product.startRouter("router-0");
  });
  after(async () => {
    stranger?.stop();
    await product?.stop();
  });

  it("gets not one byte of a request, and the satellite gets a machine of its own again", async () => {
    const operator = await product.startOperator("operator-0");
    await product.create("ada", { className: TLS_CLASS });
    const { status } = await product.untilPhase("ada", "Running");
    expect(status.endpoint?.tls).to.equal("Required");
    expect(status.endpoint?.tlsFingerprint).to.match(/^[0-9a-f]{64}$/);
    const own = await product.connect(router, "ada").describe(30_000);

    // Nobody tells the router that the machine is gone: the operator is down.
    await operator.stop();
    const id = status.machine?.id ?? "";
    product.model.terminate([id]);
    await eventually("the VM is gone", async () => (await product.vms.state(id)) === "missing");
    const { host = "", port = 0 } = status.endpoint ?? {};
    stranger = await TlsVm.listenAt(host, port, newIdentity("i-stranger"));

    const failure: unknown = await product
      .connect(router, "ada")
      .describe(5000)
      .catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(Error);
    expect(stranger.visits).to.be.greaterThan(0);
    expect(Buffer.concat(stranger.heard).length).to.equal(0);
    expect(product.logOf("router-0")).to.include("another VM answers at the satellite's address");

    await product.startOperator("operator-1");
    const again = await product.connect(router, "ada").describe(60_000);
    expect(again.bootId).not.to.equal(own.bootId);
    const { status: renewed } = await product.untilPhase("ada", "Running");
    expect(renewed.machine?.id).not.to.equal(id);
    expect(renewed.endpoint?.tlsFingerprint).not.to.equal(status.endpoint?.tlsFingerprint);
    expect(Buffer.concat(stranger.heard).length).to.equal(0);
  });

  it("is told from the VM's own by a field that the API server checks", async () => {
    const path = "/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites/ada/status";
    const { status, body } = await product.server.admin.jsonPatch(path, [
      { op: "replace", path: "/status/endpoint/tls", value: "Off" },
    ]);
    expect(status).to.equal(422);
    expect(JSON.stringify(body)).to.include("tlsFingerprint needs tls Required");
  });
});
