import { expect } from "chai";
import { settingsFrame, type SettingEntry } from "../../src/http2/frame-writer.ts";
import type { Http2ConnectionError } from "../../src/http2/errors.ts";
import { Setting } from "../../src/http2/protocol.ts";
import { parseSettings } from "../../src/http2/settings.ts";

function parse(entries: readonly SettingEntry[]): SettingEntry[] {
  const frame = settingsFrame(entries);
  return parseSettings(frame, 9, frame.length);
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Http2ConnectionError).code;
  }
  return "nothing was thrown";
}

describe("parseSettings", () => {
  it("keeps order, repetitions and unknown settings", () => {
    const entries: SettingEntry[] = [
      [Setting.HEADER_TABLE_SIZE, 0],
      [Setting.HEADER_TABLE_SIZE, 65_536],
      [0x4242, 0xffff_ffff],
    ];
    expect(parse(entries)).deep.equal(entries);
  });

  it("rejects values out of range with the code that RFC 9113 §6.5.2 names", () => {
    expect(codeOf(() => parse([[Setting.ENABLE_PUSH, 2]]))).equal("Http2.PROTOCOL_ERROR");
    expect(codeOf(() => parse([[Setting.INITIAL_WINDOW_SIZE, 0x8000_0000]]))).equal(
      "Http2.FLOW_CONTROL_ERROR",
    );
    expect(codeOf(() => parse([[Setting.MAX_FRAME_SIZE, 16_383]]))).equal("Http2.PROTOCOL_ERROR");
    expect(codeOf(() => parse([[Setting.MAX_FRAME_SIZE, 0x100_0000]]))).equal("Http2.PROTOCOL_ERROR");
    expect(codeOf(() => parseSettings(Buffer.alloc(7), 0, 7))).equal("Http2.FRAME_SIZE_ERROR");
  });

  it("rejects a frame of very many settings", () => {
    const many = Array.from({ length: 65 }, (): SettingEntry => [0x4242, 1]);
    expect(codeOf(() => parse(many))).equal("Http2.ENHANCE_YOUR_CALM");
  });
});
