import { expect } from "chai";
import { ErrorCode, FrameType } from "../../../src/http2/protocol.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { connectRaw, request, type Peer } from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

/** How often the router looks after what takes too long. */
const SWEEP_MS = 1000;

/** The router has said its last word; the client has to read it, and may not stay for that for ever. */
describe("relay: a client that does not leave", () => {
  let rig: Rig;
  let clock: VirtualClock;

  beforeEach(async () => {
    clock = new VirtualClock();
    rig = await new Rig({ clock }).start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  const open = async (): Promise<Peer> => rig.track(await connectRaw(rig.port));

  async function pass(ms: number, witness: Peer): Promise<void> {
    await clock.advance(ms);
    await witness.roundTrip();
    await witness.roundTrip();
  }

  it("after its mistake has five seconds to read the GOAWAY, and no more", async () => {
    const witness = await open();
    const client = await open();
    let isReset = false;
    client.socket.on("error", () => {
      isReset = true;
    });
    client.send(request(2));
    expect((await client.type(FrameType.GOAWAY)).payload.readUInt32BE(4)).to.equal(ErrorCode.PROTOCOL_ERROR);
    /** The first write to a socket that is gone is answered with a reset, and the second one hears of it. */
    const write = async (): Promise<void> => {
      for (let count = 0; count < 2; count++) {
        client.socket.write("x");
        await pass(0, witness);
      }
    };
    await pass(5000, witness);
    await write();
    expect(isReset).to.equal(false);
    await pass(SWEEP_MS, witness);
    await write();
    expect(isReset).to.equal(true);
  });

  it("when asked to go elsewhere has a second to say that nothing more is on its way, and no less", async () => {
    const witness = await open();
    const client = await open();
    client.send(request(1));
    const vm = await rig.vm.ready();
    await vm.headers(1);
    void rig.engine.drain(60_000);
    const lastId = async (): Promise<number> => (await client.type(FrameType.GOAWAY)).payload.readUInt32BE(0);
    expect(await lastId()).to.equal(2 ** 31 - 1);
    await pass(1000, witness);
    expect(client.frames.map(({ type }) => type)).not.to.include(FrameType.GOAWAY);
    await clock.advance(SWEEP_MS);
    expect(await lastId()).to.equal(1);
  });
});
