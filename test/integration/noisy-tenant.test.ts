import { expect } from "chai";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { Installation, type RouterProcess } from "../support/installation.ts";

const NOISY = "noisy";
const SATELLITES_OF_NOISY = 400;
const WAKES = 8;
/** Wakes take a fraction of a second here; with EC2's bucket at its limit they took 8 to 30 s. */
const MOST_MS = 5000;

/** Operator and router are processes; only their answers tell how fast a wake was. */
describe("a tenant whose satellites name instances to adopt that there are not", function () {
  this.timeout(300_000);
  let product: Installation;
  let router: RouterProcess;

  before(async () => {
    product = await Installation.start({ changeMs: 100, leaseSeconds: 60 });
    await product.startOperator("operator-0");
    router = await product.startRouter("router-0");
    await product.asleep("quiet");
  });
  after(() => product?.stop());

  it("neither slows down another tenant's wakes nor costs more than a few calls", async () => {
    await product.server.admin.request("POST", "/api/v1/namespaces", { metadata: { name: NOISY } });
    for (let index = 0; index < SATELLITES_OF_NOISY; index++) {
      const id = index % 2 === 0 ? `i-zz${index}` : `i-${String(index).padStart(17, "0")}`;
      await product.client.create<Satellite>(SATELLITES, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata: { name: `adopts-${index}`, namespace: NOISY, annotations: { "satellites.dev/adopt": id } },
        spec: {},
      } as unknown as Satellite);
    }
    const before = product.endpoint.log.calls("DescribeInstances").length;
    const latencies: number[] = [];
    for (let wake = 0; wake < WAKES; wake++) {
      const startMs = performance.now();
      await product.connect(router, "quiet").describe(60_000);
      latencies.push(performance.now() - startMs);
      await product.patch("quiet", { desiredPower: "off" });
      await product.untilPhase("quiet", "Asleep");
    }
    expect(Math.max(...latencies), latencies.map(Math.round).join(", ")).to.be.below(MOST_MS);
    const malformed = product.endpoint.log.calls("DescribeInstances").slice(before);
    expect(malformed.filter(({ outcome }) => outcome !== "ok")).to.deep.equal([]);
  });
});
