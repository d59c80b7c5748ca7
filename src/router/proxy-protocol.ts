import { BlockList, isIP, type Socket } from "node:net";

import type { Clock } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";

/** Where a connection really comes from; absent where the proxy speaks for itself, as in its health checks. */
export interface ProxiedSource {
  readonly address: string;
  readonly port: number;
}

/** PROXY protocol version 2 (HAProxy, "The PROXY protocol", section 2.2). */
const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const FIXED_BYTES = 16;
const VERSION = 2;
const COMMAND_LOCAL = 0;
const COMMAND_PROXY = 1;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
const IPV4_BYTES = 12;
const IPV6_BYTES = 36;
/** Addresses and TLVs. AWS load balancers send some 30 bytes of TLVs; those that speak of TLS send a certificate's name. */
const MAX_PAYLOAD_BYTES = 2048;

/**
 * The networks of "10.0.0.0/8, fd00::/8, 192.0.2.7".
 *
 * @throws SatelliteError `InvalidNetwork`
 */
export function parseNetworks(text: string): BlockList {
  const networks = new BlockList();
  for (const entry of text.split(",").map((part) => part.trim())) {
    const [address = "", bits, ...rest] = entry.split("/");
    const family = isIP(address);
    const maxBits = family === 6 ? 128 : 32;
    const prefix = bits === undefined ? maxBits : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
    if (family === 0 || !(prefix <= maxBits) || rest.length > 0) {
      throw new SatelliteError(
        "InvalidNetwork",
        `"${entry}" is not a network; write addresses and prefixes separated by commas, for example 10.0.0.0/8`,
      );
    }
    networks.addSubnet(address, prefix, family === 6 ? "ipv6" : "ipv4");
  }
  return networks;
}

/** Whether the peer of a socket belongs to one of the networks. */
export function isPeerIn(networks: BlockList, { remoteAddress = "" }: Socket): boolean {
  const family = isIP(remoteAddress);
  return family !== 0 && networks.check(remoteAddress, family === 6 ? "ipv6" : "ipv4");
}

/**
 * Takes the PROXY header from the front of a connection; what follows stays in the socket. A peer that may send one must:
 * guessing would let its clients forge addresses (same document, section 2).
 *
 * @param timeoutMs for the whole header
 * @param onDone called once: with the source, or `undefined` where the proxy speaks for itself, or an error
 *   `InvalidProxyHeader`, or `ProxyClosedUnused` where the peer closed before it sent anything
 */
export function takeProxyHeader(
  socket: Socket,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
  onDone: (result: ProxiedSource | undefined | SatelliteError) => void,
): void {
  let payloadBytes: number | undefined;
  let fixed: Buffer | undefined;
  const timer = clock.setTimer(timeoutMs, () => finish(invalid("none came in time")));
  socket.on("readable", onReadable);
  socket.once("end", onEnd);
  socket.once("close", onEnd);

  function finish(result: ProxiedSource | undefined | SatelliteError): void {
    timer.cancel();
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
    socket.off("close", onEnd);
    onDone(result);
  }

  function onEnd(): void {
    finish(
      socket.bytesRead === 0
        ? new SatelliteError(
            "ProxyClosedUnused",
            "a proxy closed a connection without a byte, as its health checks do",
          )
        : invalid("the connection ended before it"),
    );
  }

  function onReadable(): void {
    const header = read();
    if (header !== undefined) {
      finish(header instanceof SatelliteError ? header : header.source);
    }
  }

  /** @returns undefined as long as it is not whole */
  function read(): { readonly source: ProxiedSource | undefined } | SatelliteError | undefined {
    try {
      fixed ??= take(FIXED_BYTES);
      if (fixed === undefined) {
        return undefined;
      }
      payloadBytes ??= payloadLength(fixed);
      const payload = payloadBytes === 0 ? Buffer.alloc(0) : take(payloadBytes);
      return payload === undefined ? undefined : { source: sourceOf(fixed, payload) };
    } catch (thrown) {
      return thrown instanceof SatelliteError ? thrown : invalid(String(thrown));
    }
  }

  function take(sizeBytes: number): Buffer | undefined {
    const chunk: unknown = socket.read(sizeBytes);
    if (!Buffer.isBuffer(chunk)) {
      return undefined;
    }
    if (chunk.length < sizeBytes) {
      // The end of the stream: read() then returns what there is.
      throw invalid("it is cut off");
    }
    return chunk;
  }
}

/** The length of what follows the fixed part. */
function payloadLength(fixed: Buffer): number {
  if (!fixed.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    throw invalid("the connection does not begin with its signature");
  }
  if ((fixed.readUInt8(12) & 0xf0) >> 4 !== VERSION) {
    throw invalid("it is not of version 2");
  }
  const length = fixed.readUInt16BE(14);
  if (length > MAX_PAYLOAD_BYTES) {
    throw invalid(`it is longer than ${MAX_PAYLOAD_BYTES} bytes`);
  }
  return length;
}

function sourceOf(fixed: Buffer, payload: Buffer): ProxiedSource | undefined {
  const command = fixed.readUInt8(12) & 0x0f;
  const family = fixed.readUInt8(13) >> 4;
  if (command === COMMAND_LOCAL) {
    return undefined;
  }
  if (command !== COMMAND_PROXY) {
    throw invalid(`it has the unknown command ${command}`);
  }
  switch (family) {
    case FAMILY_IPV4:
      if (payload.length < IPV4_BYTES) {
        throw invalid("its addresses are cut off");
      }
      return { address: payload.subarray(0, 4).join("."), port: payload.readUInt16BE(8) };
    case FAMILY_IPV6:
      if (payload.length < IPV6_BYTES) {
        throw invalid("its addresses are cut off");
      }
      return { address: ipv6(payload.subarray(0, 16)), port: payload.readUInt16BE(32) };
    default:
      // Unspecified or a Unix socket: it names nobody on a network.
      return undefined;
  }
}

function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_unused, place) => bytes.readUInt16BE(place * 2).toString(16));
  return groups.join(":");
}

function invalid(why: string): SatelliteError {
  return new SatelliteError(
    "InvalidProxyHeader",
    `a peer of the networks of --proxy-protocol-from sent no usable PROXY protocol v2 header: ${why}; ` +
      "turn version 2 on in that proxy, or take its network from the list",
  );
}
