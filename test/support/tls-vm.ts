import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { performServerHandshake } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { guestIdentity, type GuestIdentity } from "../../src/guest/identity.ts";
import { fingerprintOf } from "../../src/router/vm-dial.ts";

/** A key as a guest makes it at its first boot. */
export function newIdentity(instanceID: string): GuestIdentity {
  const directory = mkdtempSync(join(tmpdir(), "satellites-identity-"));
  try {
    return guestIdentity(directory, instanceID);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The public key's hash, by which a VM with this key is identified. */
export function fingerprint({ certificatePem }: GuestIdentity): string {
  return fingerprintOf(new X509Certificate(certificatePem));
}

/**
 * A VM that serves TLS. It answers every request with status OK; told to listen only, it answers nothing and keeps every
 * byte that it deciphered.
 */
export class TlsVm {
  /** Requests that arrived. */
  requests = 0;
  /** Connections that were made. */
  visits = 0;
  /** Bytes that a listening VM has deciphered. */
  readonly heard: Buffer[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  #listensOnly = false;

  private constructor(identity: GuestIdentity) {
    this.#server = createServer(materialOf(identity), (socket) => this.#serve(socket));
    this.#server.on("connection", () => {
      this.visits += 1;
    });
    this.#server.on("tlsClientError", () => {});
  }

  /** Serves on a free port. */
  static start(identity: GuestIdentity): Promise<TlsVm> {
    return TlsVm.#listen(new TlsVm(identity), 0, "127.0.0.1");
  }

  /** Only listens, at the address of a VM that no longer exists. */
  static listenAt(host: string, port: number, identity: GuestIdentity): Promise<TlsVm> {
    const vm = new TlsVm(identity);
    vm.#listensOnly = true;
    return TlsVm.#listen(vm, port, host);
  }

  static async #listen(vm: TlsVm, port: number, host: string): Promise<TlsVm> {
    await new Promise<void>((resolve) => {
      vm.#server.listen(port, host, resolve);
    });
    return vm;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Replaces the VM at this address by another one, which only listens. Connections to the old one are broken. */
  becomes(identity: GuestIdentity): void {
    this.#server.setSecureContext(materialOf(identity));
    this.#listensOnly = true;
    this.#hangUp();
  }

  stop(): void {
    this.#server.close();
    this.#hangUp();
  }

  #hangUp(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #serve(socket: TLSSocket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
    if (this.#listensOnly) {
      socket.on("data", (chunk: Buffer) => this.heard.push(chunk));
      return;
    }
    const session = performServerHandshake(socket);
    session.on("error", () => {});
    session.on("stream", (stream) => {
      this.requests += 1;
      stream.on("error", () => {});
      stream.respond({ ":status": 200, "grpc-status": "0" }, { endStream: true });
    });
  }
}

function materialOf({ keyPem, certificatePem }: GuestIdentity): Parameters<typeof createServer>[0] & object {
  return { key: keyPem, cert: certificatePem, ALPNProtocols: ["h2"] };
}
