import { settingsAckFrame, type SettingEntry } from "../../http2/frame-writer.ts";
import {
  DEFAULT_HEADER_TABLE_BYTES,
  DEFAULT_MAX_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  MAX_31_BIT,
  Setting,
} from "../../http2/protocol.ts";
import type { SpliceLimits } from "./limits.ts";

/** What of a client's SETTINGS concerns the VM. ENABLE_PUSH is ours to say. */
const TO_UPSTREAM: ReadonlySet<number> = new Set([
  Setting.HEADER_TABLE_SIZE,
  Setting.MAX_CONCURRENT_STREAMS,
  Setting.INITIAL_WINDOW_SIZE,
  Setting.MAX_FRAME_SIZE,
  Setting.MAX_HEADER_LIST_SIZE,
]);

/** What of a client's SETTINGS concerns a VM whose header blocks the router decodes itself. */
const TO_MAPPED: ReadonlySet<number> = new Set([
  Setting.INITIAL_WINDOW_SIZE,
  Setting.MAX_FRAME_SIZE,
  Setting.MAX_HEADER_LIST_SIZE,
]);

/**
 * What of a VM's SETTINGS concerns the client. Not HEADER_TABLE_SIZE: the router decodes the client's header
 * blocks itself, with the table that everybody starts with. Not NO_RFC7540_PRIORITIES: it must not change
 * after the first SETTINGS (RFC 9218 §2.1), which was ours. Not MAX_HEADER_LIST_SIZE: other VMs on the connection take more.
 */
const TO_CLIENT: ReadonlySet<number> = new Set([
  Setting.MAX_CONCURRENT_STREAMS,
  Setting.INITIAL_WINDOW_SIZE,
  Setting.MAX_FRAME_SIZE,
]);

/** Rewrites SETTINGS between client and VM and keeps account of who owes whom an acknowledgement. */
export class SettingsBridge {
  readonly #limits: SpliceLimits;
  /** The client's SETTINGS as the VM gets them, until it got them. */
  readonly #recorded: SettingEntry[][] = [];
  #replayed = 0;
  /** Acknowledgements that the client has from us already. */
  #upstreamAcksToSwallow = 0;
  #ownUnacknowledged = 0;
  #upstreamUnacknowledged = 0;
  /** Table sizes in each of the client's SETTINGS that the VM has not acknowledged. */
  readonly #tableSizes: number[][] = [];
  #tableBytes: number = DEFAULT_HEADER_TABLE_BYTES;
  #announceTableBytes: number | undefined;
  #maxUpstreamStreams = MAX_31_BIT;
  #toldMaxStreams = MAX_31_BIT;
  #heardUpstream = false;
  #maxFrameBytes: number = DEFAULT_MAX_FRAME_BYTES;
  #requestWindowBytes: number = DEFAULT_WINDOW_BYTES;
  #clientWindowBytes: number = DEFAULT_WINDOW_BYTES;
  /** The client's SETTINGS so far that concern mapped VMs. */
  #forMapped: Map<number, number> | undefined;

  constructor(limits: SpliceLimits) {
    this.#limits = limits;
  }

  /** Streams that the VM takes at a time. */
  get maxUpstreamStreams(): number {
    return this.#maxUpstreamStreams;
  }

  /** Window that each of the client's streams takes answers with (INITIAL_WINDOW_SIZE). */
  get clientWindowBytes(): number {
    return this.#clientWindowBytes;
  }

  /** Window that each of the client's streams begins to send requests with. */
  get requestWindowBytes(): number {
    return this.#requestWindowBytes;
  }

  /** The client's SETTINGS so far, as a further VM gets them. */
  forMapped(): SettingEntry[] {
    return [...(this.#forMapped ?? []), [Setting.ENABLE_PUSH, 0]];
  }

  /** Largest frame that the client may send, as it was told last. */
  get maxFrameBytes(): number {
    return this.#maxFrameBytes;
  }

  /** Streams that the client may have open at a time, as it was told last. */
  get toldMaxStreams(): number {
    return this.#toldMaxStreams;
  }

  /** Whether the client has seen the SETTINGS that the router sent itself. */
  get isOwnAcknowledged(): boolean {
    return this.#ownUnacknowledged === 0;
  }

  /** What the router itself says first, before any VM is known. */
  own(): SettingEntry[] {
    this.#ownUnacknowledged += 1;
    this.#toldMaxStreams = this.#limits.maxHeldStreams;
    return [
      [Setting.MAX_CONCURRENT_STREAMS, this.#limits.maxHeldStreams],
      [Setting.MAX_HEADER_LIST_SIZE, this.#limits.maxHeaderListBytes],
    ];
  }

  /** The client's SETTINGS while the router answers for the VM: kept to be told later, in order. */
  record(entries: readonly SettingEntry[]): void {
    this.#note(entries);
    this.#recorded.push(rewriteToUpstream(entries));
    this.#acknowledgeTables(tableSizesIn(entries));
  }

  /** The client's SETTINGS after the spliced VM has gone: the router alone keeps to them. */
  adopt(entries: readonly SettingEntry[]): void {
    this.#note(entries);
    this.#acknowledgeTables(tableSizesIn(entries));
  }

  /** What the VM has not been told yet of what was recorded, one list per SETTINGS frame. */
  takeRecorded(): SettingEntry[][] {
    const fresh = this.#recorded.slice(this.#replayed);
    this.#replayed = this.#recorded.length;
    this.#upstreamAcksToSwallow += fresh.length;
    return fresh;
  }

  /** The next connection to a VM begins from nothing. */
  forgetUpstream(): void {
    this.#replayed = 0;
    this.#upstreamAcksToSwallow = 0;
  }

  /**
   * The spliced VM is gone, and with it what it owed: the router acknowledges in its place, and keeps what the client
   * still acknowledges to itself.
   *
   * @returns frames for the client
   */
  forgetSpliced(): Buffer[] {
    this.#ownUnacknowledged += this.#upstreamUnacknowledged;
    this.#upstreamUnacknowledged = 0;
    return this.#tableSizes.splice(0).map((tableSizes) => {
      this.#acknowledgeTables(tableSizes);
      return settingsAckFrame();
    });
  }

  /** The client's SETTINGS on a spliced connection, as the VM gets them. */
  toUpstream(entries: readonly SettingEntry[]): SettingEntry[] {
    this.#note(entries);
    this.#tableSizes.push(tableSizesIn(entries));
    return rewriteToUpstream(entries);
  }

  /** The VM's SETTINGS, as the client gets them. */
  toClient(entries: readonly SettingEntry[]): SettingEntry[] {
    const passed = entries
      .filter(([id]) => TO_CLIENT.has(id))
      .map(([id, value]): SettingEntry => [id, this.#clamp(id, value)]);
    for (const [id, value] of entries) {
      if (id === Setting.MAX_CONCURRENT_STREAMS) {
        this.#maxUpstreamStreams = value;
      }
    }
    for (const [id, value] of passed) {
      if (id === Setting.MAX_CONCURRENT_STREAMS) {
        this.#toldMaxStreams = value;
      } else if (id === Setting.MAX_FRAME_SIZE) {
        this.#maxFrameBytes = value;
      } else if (id === Setting.INITIAL_WINDOW_SIZE) {
        this.#requestWindowBytes = value;
      }
    }
    if (!this.#heardUpstream && !passed.some(([id]) => id === Setting.MAX_CONCURRENT_STREAMS)) {
      passed.push([Setting.MAX_CONCURRENT_STREAMS, MAX_31_BIT]);
      this.#toldMaxStreams = MAX_31_BIT;
    }
    this.#heardUpstream = true;
    this.#upstreamUnacknowledged += 1;
    return passed;
  }

  /** @returns whether this acknowledgement of the client is for the VM */
  onClientAck(): boolean {
    if (this.#ownUnacknowledged > 0) {
      this.#ownUnacknowledged -= 1;
      return false;
    }
    if (this.#upstreamUnacknowledged > 0) {
      this.#upstreamUnacknowledged -= 1;
      return true;
    }
    return false;
  }

  /** @returns whether this acknowledgement of the VM is for the client */
  onUpstreamAck(): boolean {
    if (this.#upstreamAcksToSwallow > 0) {
      this.#upstreamAcksToSwallow -= 1;
      return false;
    }
    const tableSizes = this.#tableSizes.shift();
    if (tableSizes === undefined) {
      return false;
    }
    this.#acknowledgeTables(tableSizes);
    return true;
  }

  /**
   * Table size that the next header block to the client must begin with: after a reduction was acknowledged
   * the client waits for it, whoever writes that block (RFC 7541 §4.2).
   */
  takeTableAnnouncement(): number | undefined {
    const tableBytes = this.#announceTableBytes;
    this.#announceTableBytes = undefined;
    return tableBytes;
  }

  #acknowledgeTables(tableSizes: readonly number[]): void {
    for (const tableBytes of tableSizes) {
      if (tableBytes < this.#tableBytes) {
        this.#announceTableBytes = Math.min(tableBytes, this.#announceTableBytes ?? tableBytes);
      }
      this.#tableBytes = tableBytes;
    }
  }

  #note(entries: readonly SettingEntry[]): void {
    for (const [id, value] of entries) {
      if (TO_MAPPED.has(id)) {
        this.#forMapped ??= new Map();
        this.#forMapped.set(id, value);
      }
      if (id === Setting.INITIAL_WINDOW_SIZE) {
        this.#clientWindowBytes = value;
      }
    }
  }

  #clamp(id: number, value: number): number {
    if (id === Setting.MAX_FRAME_SIZE) {
      return Math.min(value, this.#limits.maxFrameBytes);
    }
    // What the VM does not take at a time waits here, so that nobody else on the connection must wait for it.
    return id === Setting.MAX_CONCURRENT_STREAMS ? Math.max(value, this.#limits.maxHeldStreams) : value;
  }
}

function rewriteToUpstream(entries: readonly SettingEntry[]): SettingEntry[] {
  return [...entries.filter(([id]) => TO_UPSTREAM.has(id)), [Setting.ENABLE_PUSH, 0]];
}

function tableSizesIn(entries: readonly SettingEntry[]): number[] {
  return entries.filter(([id]) => id === Setting.HEADER_TABLE_SIZE).map(([, value]) => value);
}
