import type { Readable, Writable } from "node:stream";

import { toError } from "../base/errors.ts";

/** What the hypervisor may ask of the guest. */
export interface SerialAgentActions {
  /** Sets the wall clock. @param unixMs milliseconds since 1970 */
  setTime(unixMs: number): Promise<void>;
  /** Begins an orderly shutdown; must return at once. */
  shutDown(): void;
}

interface AgentRequest {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

const NS_PER_MS = 1e6;
/** A longer line is no valid request; it is dropped, so that it cannot fill the memory. */
const MAX_LINE_LENGTH = 64 * 1024;

/**
 * Speaks the part of the QEMU guest agent protocol that satellites need, as lines of JSON on a serial port:
 * guest-sync, guest-ping, guest-set-time and guest-shutdown (QEMU's qga/qapi-schema.json). Because it is the
 * standard protocol, a full Linux guest can run Debian's qemu-guest-agent in its place.
 */
export function serveSerialAgent(input: Readable, output: Writable, actions: SerialAgentActions): void {
  let pending = "";
  input.setEncoding("utf8");
  input.on("data", (text: string) => {
    // 0xFF discards the unfinished line before it (guest-sync-delimited); decoded as UTF-8 it is U+FFFD.
    const lines = (pending + text).replaceAll(/[^\n]*\uFFFD/g, "").split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > MAX_LINE_LENGTH) {
      pending = "";
    }
    for (const line of lines.filter((candidate) => candidate.trim() !== "")) {
      answer(line, actions).then(
        (result) => result !== undefined && output.write(`${JSON.stringify({ return: result })}\n`),
        (thrown: unknown) =>
          output.write(
            `${JSON.stringify({ error: { class: "GenericError", desc: toError(thrown).message } })}\n`,
          ),
      );
    }
  });
}

/** @returns what the protocol's `return` carries; undefined where the protocol has no answer */
async function answer(line: string, actions: SerialAgentActions): Promise<object | number | undefined> {
  const request = JSON.parse(line) as AgentRequest;
  switch (request.execute) {
    case "guest-ping":
      return {};
    case "guest-sync":
      return Number(request.arguments?.["id"]);
    case "guest-set-time": {
      const time = request.arguments?.["time"];
      if (typeof time !== "number") {
        throw new TypeError("guest-set-time needs `time` in nanoseconds since 1970");
      }
      await actions.setTime(time / NS_PER_MS);
      return {};
    }
    case "guest-shutdown":
      actions.shutDown();
      return undefined;
    default:
      throw new Error(`unknown command ${request.execute}`);
  }
}
