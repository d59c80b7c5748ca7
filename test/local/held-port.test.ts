import { once } from "node:events";
import { connect } from "node:net";

import { expect } from "chai";

import { holdPort } from "../../src/local/held-port.ts";

describe("a held port", () => {
  it("lets nobody stay who connects, and is given free all the same", async () => {
    const held = await holdPort(0);
    const socket = connect(held.port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "close");
    await held.release();
    const again = await holdPort(held.port);
    expect(again.port).to.equal(held.port);
    await again.release();
  });
});
