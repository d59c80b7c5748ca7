import { expect } from "chai";
import { Setting } from "../../../src/http2/protocol.ts";
import { DEFAULT_RELAY_LIMITS } from "../../../src/router/relay/limits.ts";
import { ClientSettings } from "../../../src/router/relay/client-settings.ts";

const table = (sizeBytes: number): [id: number, value: number] => [Setting.HEADER_TABLE_SIZE, sizeBytes];

describe("table sizes that the next header block to a client must announce (RFC 7541 §4.2)", () => {
  let settings: ClientSettings;

  beforeEach(() => {
    settings = new ClientSettings(DEFAULT_RELAY_LIMITS);
  });

  /** The size that a block without fields begins with, which is below 31 (RFC 7541 §6.3). */
  function takeAnnouncement(): number | undefined {
    const block = settings.encoder.encode([]);
    expect(block).lengthOf.below(2);
    return block[0] === undefined ? undefined : block[0] - 0x20;
  }

  it("none while the table only grows", () => {
    settings.adopt([table(65_536)]);
    expect(takeAnnouncement()).equal(undefined);
  });

  it("the smallest, if it went down and up again within a frame", () => {
    settings.adopt([table(0), table(65_536)]);
    expect(takeAnnouncement()).equal(0);
    expect(takeAnnouncement()).equal(undefined);
  });

  it("a reduction from a grown size: the router keeps to the least that it was ever allowed", () => {
    settings.adopt([table(0), table(65_536)]);
    takeAnnouncement();
    settings.adopt([table(8192)]);
    expect(takeAnnouncement()).equal(0);
  });
});
