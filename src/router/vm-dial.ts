import { createHash, type X509Certificate } from "node:crypto";
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, createSecureContext, type ConnectionOptions, type TLSSocket } from "node:tls";

import { SatelliteError, toError } from "../base/errors.ts";

/** Where a VM's gRPC port is, and by which key it is known. */
export interface VmAddress {
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the VM's public key, in hex; undefined where the VM serves plain text. */
  readonly tlsFingerprint?: string | undefined;
}

/** The VM at an address is not the one that was asked for: it shows another key. Nothing was sent to it. */
export class OtherVmError extends SatelliteError {
  /** Fingerprint of the key that it shows. */
  readonly shown: string;

  constructor({ host, port, tlsFingerprint }: VmAddress, shown: string) {
    super(
      "OtherVM",
      `another VM answers at ${host}:${port}: it shows the key ${shown}, not ${tlsFingerprint ?? "the expected one"}; ` +
        "nothing was sent to it",
    );
    this.shown = shown;
  }
}

/**
 * When TCP begins to ask whether the VM is still there. HTTP/2 pings are not sent: buildkitd punishes more
 * than one in five minutes.
 */
const KEEPALIVE_MS = 30_000;

/**
 * Of a VM's certificate nothing is looked at but its key, so no authority is needed; loading Node's own costs 9 ms.
 * TLS 1.3 always proves that the peer holds the key (RFC 8446 section 4.4.3), and knows no renegotiation.
 */
const CONTEXT = createSecureContext({ minVersion: "TLSv1.3", ca: [] });

/**
 * Connects by TLS where the VM is known by a key, and then speaks to that VM alone; else by plain TCP.
 *
 * @param onOpen called once, when bytes may be written: none may before, since it is not known yet whom they reach
 * @param allowHalfOpen whether one side of the connection may end before the other
 */
export function dialVm(
  vm: VmAddress,
  onOpen: (socket: Duplex) => void,
  allowHalfOpen: boolean = false,
): Duplex {
  if (vm.tlsFingerprint === undefined) {
    return dialPlain(vm, onOpen, allowHalfOpen);
  }
  const onHandshake = (socket: TLSSocket, shown: string): void => {
    if (shown === vm.tlsFingerprint) {
      onOpen(socket);
    } else {
      socket.destroy(new OtherVmError(vm, shown));
    }
  };
  return dialTls(vm, onHandshake, allowHalfOpen);
}

/** What is written before the connection stands waits in the socket. */
function dialPlain(
  { host, port }: VmAddress,
  onOpen: (socket: Duplex) => void,
  allowHalfOpen: boolean,
): Duplex {
  const socket = connectTcp({
    host,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_MS,
    allowHalfOpen,
  });
  onOpen(socket);
  return socket;
}

/**
 * Connects by TLS to whoever answers.
 *
 * @param onHandshake told the fingerprint of the key that the peer has proved to hold
 */
export function dialTls(
  { host, port }: VmAddress,
  onHandshake: (socket: TLSSocket, shown: string) => void,
  allowHalfOpen: boolean = false,
): Duplex {
  const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
    host,
    port,
    secureContext: CONTEXT,
    ALPNProtocols: ["h2"],
    // The key is what a VM is known by. No authority signs it, and it is compared before anything is written.
    rejectUnauthorized: false,
    allowHalfOpen,
  };
  const socket = connectTls(options);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEPALIVE_MS);
  socket.once("secureConnect", () => {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) {
      socket.destroy(new SatelliteError("VMShowsNoKey", `the VM at ${host}:${port} shows no certificate`));
      return;
    }
    try {
      onHandshake(socket, fingerprintOf(certificate));
    } catch (error) {
      // A VM may show a key of a kind that cannot be read: its connection fails, and nothing else.
      socket.destroy(toError(error));
    }
  });
  return socket;
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), in hex. */
export function fingerprintOf(certificate: X509Certificate): string {
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("hex");
}

/** Says of a failed handshake that it is one: OpenSSL's words tell nobody that the VM serves plain text. */
export function dialError({ host, port }: VmAddress, error: Error): Error {
  const code = String(Reflect.get(error, "code") ?? "");
  return code === "EPROTO" || code.startsWith("ERR_SSL_")
    ? new SatelliteError(
        "VMNotTLS",
        `the VM at ${host}:${port} does not serve TLS 1.3 with ALPN h2 (${reasonOf(error)})`,
        { cause: error },
      )
    : error;
}

function reasonOf(error: Error): string {
  const reason: unknown = Reflect.get(error, "reason");
  return typeof reason === "string" ? reason : error.message;
}
