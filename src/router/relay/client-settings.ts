import type { SettingEntry } from "../../http2/frame-writer.ts";
import { DEFAULT_WINDOW_BYTES, Setting } from "../../http2/protocol.ts";
import { HpackEncoder } from "../../http2/hpack-encoder.ts";
import type { RelayLimits } from "./limits.ts";

/** What of a client's SETTINGS concerns answers, so that VMs keep to it. Frames and header tables are the router's affair. */
const FOR_VMS: ReadonlySet<number> = new Set([Setting.INITIAL_WINDOW_SIZE, Setting.MAX_HEADER_LIST_SIZE]);

/** The SETTINGS of both sides of a client's connection (RFC 9113 §6.5). */
export class ClientSettings {
  /** Writes the header blocks to the client. */
  readonly encoder = new HpackEncoder();
  readonly #limits: RelayLimits;
  /** The client's SETTINGS so far that concern VMs. Made when needed: most connections are idle, and many. */
  #forVms: Map<number, number> | undefined;

  constructor(limits: RelayLimits) {
    this.#limits = limits;
  }

  /** Window that each of the client's streams takes answers with (INITIAL_WINDOW_SIZE). */
  get clientWindowBytes(): number {
    return this.#forVms?.get(Setting.INITIAL_WINDOW_SIZE) ?? DEFAULT_WINDOW_BYTES;
  }

  /** Largest metadata of an answer that the client takes (MAX_HEADER_LIST_SIZE). */
  get maxListBytes(): number {
    return this.#forVms?.get(Setting.MAX_HEADER_LIST_SIZE) ?? Infinity;
  }

  /** What the router tells the client. */
  own(): SettingEntry[] {
    return [
      [Setting.MAX_CONCURRENT_STREAMS, this.#limits.maxStreams],
      [Setting.MAX_HEADER_LIST_SIZE, this.#limits.maxHeaderListBytes],
    ];
  }

  /** The client's SETTINGS so far, as a VM gets them; push is off. */
  forVm(): SettingEntry[] {
    return [...(this.#forVms ?? []), [Setting.ENABLE_PUSH, 0]];
  }

  /** Takes SETTINGS of the client. */
  adopt(entries: readonly SettingEntry[]): void {
    for (const [id, value] of entries) {
      if (FOR_VMS.has(id)) {
        this.#forVms ??= new Map();
        this.#forVms.set(id, value);
      } else if (id === Setting.HEADER_TABLE_SIZE) {
        this.encoder.adopt(value);
      }
    }
  }
}
