import { expect } from "chai";
import { SilentPorts } from "../../src/operator/silent-ports.ts";

describe("silent ports", () => {
  it("slow down looks within their namespace, and those of others by one share only", () => {
    const ports = new SilentPorts();
    for (let index = 0; index < 1000; index++) {
      ports.add(`noisy/${index}`);
    }
    expect(ports.besides("noisy/0")).to.equal(1000);
    ports.add("quiet/ada");
    expect(ports.besides("quiet/ada")).to.equal(2);
    expect(ports.besides("noisy/0")).to.equal(2000);
    ports.delete("quiet/ada");
    expect(ports.besides("noisy/0")).to.equal(1000);
  });
});
