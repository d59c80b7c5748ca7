import { expect } from "chai";
import { Setting } from "../../../src/http2/protocol.ts";
import { DEFAULT_SPLICE_LIMITS } from "../../../src/router/splice/limits.ts";
import { SettingsBridge } from "../../../src/router/splice/settings-bridge.ts";

const table = (sizeBytes: number): [id: number, value: number] => [Setting.HEADER_TABLE_SIZE, sizeBytes];

describe("SettingsBridge: table sizes that an injected answer must announce (RFC 7541 §4.2)", () => {
  let bridge: SettingsBridge;

  beforeEach(() => {
    bridge = new SettingsBridge(DEFAULT_SPLICE_LIMITS);
  });

  it("none while the table only grows", () => {
    bridge.record([table(65_536)]);
    expect(bridge.takeTableAnnouncement()).equal(undefined);
  });

  it("the smallest, if it went down and up again within a frame", () => {
    bridge.record([table(0), table(65_536)]);
    expect(bridge.takeTableAnnouncement()).equal(0);
    expect(bridge.takeTableAnnouncement()).equal(undefined);
  });

  it("a reduction from a grown size", () => {
    bridge.record([table(0), table(65_536)]);
    bridge.takeTableAnnouncement();
    bridge.record([table(8192)]);
    expect(bridge.takeTableAnnouncement()).equal(8192);
  });

  it("each only when the acknowledgement that belongs to it has passed", () => {
    bridge.record([]);
    bridge.takeRecorded();
    bridge.toUpstream([table(2000)]);
    bridge.toUpstream([table(1000)]);
    expect(bridge.onUpstreamAck(), "for what was recorded").equal(false);
    expect(bridge.takeTableAnnouncement()).equal(undefined);
    expect(bridge.onUpstreamAck()).equal(true);
    expect(bridge.takeTableAnnouncement()).equal(2000);
    expect(bridge.onUpstreamAck()).equal(true);
    expect(bridge.takeTableAnnouncement()).equal(1000);
    expect(bridge.onUpstreamAck(), "one that nobody waits for").equal(false);
  });
});
