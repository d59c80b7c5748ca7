import { once } from "node:events";
import net, { type Socket } from "node:net";
import {
  connect as connectTls,
  createServer,
  type ConnectionOptions,
  type Server,
  type TLSSocket,
} from "node:tls";

import type { GuestIdentity } from "../../../src/guest/identity.ts";
import { portOf } from "../child.ts";
import type { Ends } from "./ending-peer.ts";

const REST_MS = 1000;

/**
 * TLS in this process and TCP to the router, joined byte by byte: TCP can then end without TLS's knowing, and by a reset.
 * (Node itself may crash where a connection is reset below its TLS.)
 */
export class TlsRelay {
  /** Takes the inner connections: plain TCP for a client's TLS, TLS for a VM. */
  readonly #inside: net.Server | Server;
  /** By the port that they were connected from: sockets that have come, and who waits for one. */
  readonly #arrived = new Map<number, Socket>();
  readonly #expected = new Map<number, (socket: Socket) => void>();

  private constructor(inside: net.Server | Server, accepted: "connection" | "secureConnection") {
    this.#inside = inside;
    inside.on(accepted, (socket: Socket) => {
      socket.on("error", () => {});
      const port = socket.remotePort ?? 0;
      const take = this.#expected.get(port);
      this.#expected.delete(port);
      if (take === undefined) {
        this.#arrived.set(port, socket);
        socket.once("close", () => this.#arrived.delete(port));
      } else {
        take(socket);
      }
    });
    inside.on("tlsClientError", (_error: Error, socket: Socket) => socket.destroy());
  }

  /** For clients. */
  static forClients(): Promise<TlsRelay> {
    return TlsRelay.#listen(new TlsRelay(net.createServer({ allowHalfOpen: true }), "connection"));
  }

  /** For a VM that is known by a key. */
  static forVm({ keyPem, certificatePem }: GuestIdentity): Promise<TlsRelay> {
    const options = {
      key: keyPem,
      cert: certificatePem,
      ALPNProtocols: ["h2"],
      allowHalfOpen: true,
      handshakeTimeout: 5000,
    };
    return TlsRelay.#listen(new TlsRelay(createServer(options), "secureConnection"));
  }

  static async #listen(relay: TlsRelay): Promise<TlsRelay> {
    relay.#inside.listen(0, "127.0.0.1");
    await once(relay.#inside, "listening");
    return relay;
  }

  /** TLS as a client over `tcp`; undefined where the connection ends before it is secure. */
  async connect(tcp: Socket): Promise<Ends | undefined> {
    const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
      port: portOf(this.#inside.address()),
      host: "127.0.0.1",
      ALPNProtocols: ["h2"],
      // The router's certificate is nobody's here.
      rejectUnauthorized: false,
      allowHalfOpen: true,
    };
    const stream: TLSSocket = connectTls(options);
    stream.on("error", () => {});
    const link = { passesEnd: true };
    stream.once("connect", () => this.#expect(stream.localPort ?? 0, (inner) => join(inner, tcp, link)));
    const isSecure = await new Promise<boolean>((resolve) => {
      stream.once("secureConnect", () => resolve(true));
      stream.once("close", () => resolve(false));
    });
    if (!isSecure) {
      tcp.destroy();
    }
    endWith(tcp, stream);
    return isSecure ? { stream, tcp, link } : undefined;
  }

  /** TLS as a server over `tcp`. */
  accept(tcp: Socket, onSecure: (ends: Ends) => void): void {
    const inner = net.connect({
      port: portOf(this.#inside.address()),
      host: "127.0.0.1",
      allowHalfOpen: true,
    });
    const link = { passesEnd: true };
    inner.once("connect", () =>
      this.#expect(inner.localPort ?? 0, (stream) => {
        endWith(tcp, stream);
        onSecure({ stream, tcp, link });
      }),
    );
    join(inner, tcp, link);
  }

  #expect(port: number, take: (socket: Socket) => void): void {
    const arrived = this.#arrived.get(port);
    if (arrived === undefined) {
      this.#expected.set(port, take);
    } else {
      this.#arrived.delete(port);
      take(arrived);
    }
  }

  stop(): void {
    this.#inside.close();
  }
}

/** TLS has nobody to talk to for longer than it takes to read the rest: its sockets must not pile up. */
function endWith(tcp: Socket, stream: Socket): void {
  const end = (): void => {
    setTimeout(() => stream.destroy(), REST_MS).unref();
  };
  if (tcp.destroyed) {
    end();
  } else {
    tcp.once("close", end);
  }
}

/** What comes from one goes to the other. */
function join(inner: Socket, tcp: Socket, link: NonNullable<Ends["link"]>): void {
  inner.on("error", () => {});
  if (tcp.destroyed) {
    inner.destroy();
    return;
  }
  inner.pipe(tcp, { end: false });
  tcp.pipe(inner);
  inner.once("end", () => {
    if (link.passesEnd) {
      tcp.end();
    }
  });
  inner.once("close", () => {
    if (link.passesEnd) {
      tcp.destroy();
    }
  });
  tcp.once("close", () => inner.destroy());
}
