import { credentials, makeGenericClientConstructor, Metadata, status } from "@grpc/grpc-js";
import { expect } from "chai";

import { loadGuestSchema } from "../../src/guest/schema.ts";
import { startTestGuest, type TestGuest } from "./support.ts";

describe("the guest's health", () => {
  let guest: TestGuest;
  let stub: InstanceType<ReturnType<typeof makeGenericClientConstructor>>;

  beforeEach(async () => {
    guest = await startTestGuest();
    stub = new (makeGenericClientConstructor(loadGuestSchema().health, "Health"))(
      guest.address,
      credentials.createInsecure(),
    );
  });

  afterEach(async () => {
    stub.close();
    await guest.close();
  });

  const check = (service: string): Promise<unknown> =>
    new Promise((resolve) => {
      stub["Check"]!(
        { service },
        new Metadata(),
        (error: { code: number } | null, response: { status: string }) =>
          resolve(error?.code ?? response.status),
      );
    });

  it("serves as a whole and per service", async () => {
    expect(await check("")).to.equal("SERVING");
    expect(await check("satellites.exec.v1.Execution")).to.equal("SERVING");
  });

  it("answers NOT_FOUND for a service that it does not know", async () => {
    expect(await check("other.Service")).to.equal(status.NOT_FOUND);
  });

  it("tells watchers when it goes away", async () => {
    const seen: string[] = [];
    const call = stub["Watch"]!({ service: "" }, new Metadata());
    const ended = new Promise((resolve) => call.once("end", resolve));
    const first = new Promise((resolve) => call.once("data", resolve));
    call.on("data", (response: { status: string }) => seen.push(response.status));
    await first;
    await Promise.all([guest.server.close(1000), ended]);
    expect(seen).to.deep.equal(["SERVING", "NOT_SERVING"]);
  });

  it("does not count health checks as work", async () => {
    await check("");
    expect((await guest.client.describe()).calls).to.equal(1);
  });
});
