import { expect } from "chai";
import { connectGuest } from "../../src/guest/client.ts";
import { HttpProxy } from "../support/http-proxy.ts";

describe("a client of the guest", () => {
  it("goes through no proxy, whatever grpc-js would read from the environment", async () => {
    const proxy = new HttpProxy(false);
    const before = process.env["http_proxy"];
    process.env["http_proxy"] = await proxy.start();
    const guest = connectGuest("guest.invalid:8372");
    try {
      await guest.describe(5_000).catch(() => {});
      expect(proxy.tunnels).to.deep.equal([]);
    } finally {
      guest.close();
      if (before === undefined) {
        delete process.env["http_proxy"];
      } else {
        process.env["http_proxy"] = before;
      }
      await proxy.stop();
    }
  });
});
