import { expect } from "chai";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync, mkdirSync } from "node:fs";
import net, { type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { systemClock } from "../../../src/base/clock.ts";
import type { SatelliteError } from "../../../src/base/errors.ts";
import { Listener, type AcceptedInfo, type ListenerOptions } from "../../../src/router/listener.ts";
import { parseNetworks } from "../../../src/router/proxy-protocol.ts";
import { watchTlsFiles, type TlsMaterial } from "../../../src/router/tls-material.ts";
import { CollectingLogger } from "../../support/collecting-logger.ts";
import { createTestAuthority, type KeyPairPem } from "../../support/pki.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { until } from "../support/router-bench.ts";
import { newAuthority, newClientCertificate, type Certificate } from "./certificates.ts";
import { stopAfterEach } from "../../support/stops.ts";

const SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/** A PROXY v2 header. */
function proxyHeader(command: number, family: number, payload: Buffer, version = 2): Buffer {
  const fixed = Buffer.alloc(4);
  fixed.writeUInt8((version << 4) | command, 0);
  fixed.writeUInt8(family, 1);
  fixed.writeUInt16BE(payload.length, 2);
  return Buffer.concat([SIGNATURE, fixed, payload]);
}

const IPV4 = Buffer.from([203, 0, 113, 7, 192, 0, 2, 1, 0xc3, 0x50, 0x20, 0xb4]);
const IPV6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from([0xc3, 0x50, 0x20, 0xb4]),
]);
const TLV = Buffer.from([0xea, 0, 3, 1, 2, 3]);

describe("listener", () => {
  const stops = stopAfterEach();
  const accepted: { readonly socket: Socket; readonly info: AcceptedInfo; read: Buffer }[] = [];
  let logger: CollectingLogger;
  let serving: KeyPairPem;
  let servingCa: string;
  let clients: Certificate;

  before(async () => {
    const authority = await createTestAuthority("servers");
    serving = await authority.issueServer();
    servingCa = authority.caPem;
    clients = await newAuthority("clients");
  });
  beforeEach(() => {
    logger = new CollectingLogger();
  });
  afterEach(() => {
    accepted.length = 0;
  });

  async function listen(
    options: Partial<ListenerOptions> = {},
  ): Promise<{ listener: Listener; port: number }> {
    const listener = new Listener({
      clock: systemClock,
      logger,
      handshakeTimeoutMs: 10_000,
      onConnection(socket, info) {
        const connection = { socket, info, read: Buffer.alloc(0) };
        accepted.push(connection);
        socket.on("error", () => {});
        socket.on("data", (chunk: Buffer) => {
          connection.read = Buffer.concat([connection.read, chunk]);
        });
      },
      ...options,
    });
    const { port } = await listener.listen({ host: "127.0.0.1", port: 0 });
    stops.push(async () => {
      const closed = listener.close();
      for (const { socket } of accepted) {
        socket.destroy();
      }
      await closed;
    });
    return { listener, port };
  }

  async function dial(port: number): Promise<Socket> {
    const socket = net.connect({ port, host: "127.0.0.1" });
    socket.on("error", () => {});
    stops.push(() => void socket.destroy());
    await once(socket, "connect");
    return socket;
  }

  async function dialTls(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
    const socket = tls.connect({
      port,
      host: "127.0.0.1",
      ca: servingCa,
      servername: "localhost",
      ...options,
    });
    stops.push(() => void socket.destroy());
    await once(socket, "secureConnect");
    socket.on("error", () => {});
    return socket;
  }

  const ended = async (socket: Socket): Promise<void> => {
    if (!socket.destroyed) {
      socket.resume();
      await once(socket, "close");
    }
  };

  describe("PROXY protocol v2", () => {
    const LOCALS = parseNetworks("127.0.0.0/8");
    const good: [string, Buffer, string][] = [
      ["an IPv4 client", proxyHeader(1, 0x11, IPV4), "203.0.113.7"],
      ["an IPv4 client, with TLVs", proxyHeader(1, 0x11, Buffer.concat([IPV4, TLV])), "203.0.113.7"],
      ["an IPv6 client", proxyHeader(1, 0x21, IPV6), "2001:db8:0:0:0:0:0:7"],
      ["the proxy itself", proxyHeader(0, 0, Buffer.alloc(0)), "127.0.0.1"],
      ["the proxy itself, with addresses to be ignored", proxyHeader(0, 0x11, IPV4), "127.0.0.1"],
      ["a client of no known family", proxyHeader(1, 0, TLV), "127.0.0.1"],
    ];
    for (const [what, header, address] of good) {
      for (const pieces of ["at once", "byte by byte"] as const) {
        it(`tells where ${what} is, sent ${pieces}, and loses nothing of what follows`, async () => {
          const { port } = await listen({ proxyProtocolFrom: LOCALS });
          const socket = await dial(port);
          const bytes = Buffer.concat([header, Buffer.from("PRI * HTTP/2.0")]);
          if (pieces === "at once") {
            socket.write(bytes);
          } else {
            socket.setNoDelay(true);
            for (const byte of bytes) {
              await new Promise((resolve) => {
                socket.write(Buffer.from([byte]), resolve);
              });
            }
          }
          await until(() => accepted[0]?.read.toString() === "PRI * HTTP/2.0");
          expect(accepted[0]?.info).to.deep.equal({ remoteAddress: address });
        });
      }
    }

    it("goes before TLS, whose handshake may come in the same packet", async () => {
      const { port } = await listen({
        proxyProtocolFrom: LOCALS,
        tls: { ...serving, ca: clients.cert, requestCertificate: true },
      });
      const raw = await dial(port);
      raw.write(proxyHeader(1, 0x11, IPV4));
      const alice = await newClientCertificate("alice", clients);
      const socket = await dialTls(port, { socket: raw, ...alice });
      socket.write("hello");
      await until(() => accepted[0]?.read.toString() === "hello");
      expect(accepted[0]?.info).to.deep.include({ remoteAddress: "203.0.113.7", serverName: "localhost" });
      expect(accepted[0]?.info.clientCertificate?.commonName).to.equal("alice");
    });

    const bad: [string, Buffer][] = [
      ["HTTP/2 without a header", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
      ["version 1", Buffer.from("PROXY TCP4 203.0.113.7 192.0.2.1 50000 8372\r\n")],
      ["another version", proxyHeader(1, 0x11, IPV4, 3)],
      ["an unknown command", proxyHeader(2, 0x11, IPV4)],
      ["cut-off IPv4 addresses", proxyHeader(1, 0x11, IPV4.subarray(0, 11))],
      ["cut-off IPv6 addresses", proxyHeader(1, 0x21, IPV6.subarray(0, 35))],
      ["an endless header", proxyHeader(1, 0x11, Buffer.alloc(2_049))],
    ];
    for (const [what, bytes] of bad) {
      it(`from a listed proxy that sends ${what} ends the connection, and says what to do`, async () => {
        const { port } = await listen({ proxyProtocolFrom: LOCALS });
        const socket = await dial(port);
        socket.write(bytes);
        await ended(socket);
        expect(accepted).to.have.lengthOf(0);
        expect(logger.lines.at(-1)?.level).to.equal("warn");
        expect(logger.lines.at(-1)?.message).to.contain("--proxy-protocol-from");
      });
    }

    it("from a listed proxy that closes without a byte, as health checks do, is no warning", async () => {
      const { port } = await listen({ proxyProtocolFrom: LOCALS });
      const socket = await dial(port);
      socket.end();
      await ended(socket);
      expect(accepted).to.have.lengthOf(0);
      expect(logger.lines.map(({ level }) => level))
        .to.include("debug")
        .and.not.include("warn");
    });

    it("that stops in the middle ends the connection", async () => {
      const { port } = await listen({ proxyProtocolFrom: LOCALS });
      const socket = await dial(port);
      socket.end(proxyHeader(1, 0x11, IPV4).subarray(0, 20));
      await ended(socket);
      expect(accepted).to.have.lengthOf(0);
    });

    it("that does not come in time ends the connection", async () => {
      const clock = new VirtualClock();
      const { port } = await listen({ proxyProtocolFrom: LOCALS, clock, handshakeTimeoutMs: 5_000 });
      const socket = await dial(port);
      socket.write(SIGNATURE);
      await until(() => clock.pendingTimers === 1);
      await clock.advance(4_999);
      expect(clock.pendingTimers, "given up too early").to.equal(1);
      await clock.advance(1);
      await ended(socket);
      expect(clock.pendingTimers).to.equal(0);
    });

    it("is not read from anybody who is not listed: nobody forges an address", async () => {
      const { port } = await listen({ proxyProtocolFrom: parseNetworks("10.0.0.0/8, fd00::/8") });
      const socket = await dial(port);
      const header = proxyHeader(1, 0x11, IPV4);
      socket.write(header);
      await until(() => accepted[0]?.read.length === header.length);
      expect(accepted[0]?.info).to.deep.equal({ remoteAddress: "127.0.0.1" });
    });

    for (const text of ["", "10.0.0.0/33", "fd00::/129", "ten", "10.0.0.0/8/8", "10.0.0.0/", "10.0.0.0/-1"]) {
      it(`says that ${JSON.stringify(text)} is no network`, () => {
        expect(() => parseNetworks(text))
          .to.throw()
          .with.property("code", "InvalidNetwork");
      });
    }
  });

  describe("TLS", () => {
    it("ends a connection whose handshake does not come in time", async () => {
      const { port } = await listen({ tls: serving, handshakeTimeoutMs: 20 });
      await ended(await dial(port));
      expect(accepted).to.have.lengthOf(0);
    });

    it("is not resumed after the authorities of clients changed: who was let in must be again", async () => {
      const alice = await newClientCertificate("alice", clients);
      const { listener, port } = await listen({
        tls: { ...serving, ca: clients.cert, requestCertificate: true },
      });
      const first = await dialTls(port, alice);
      const [session] = (await once(first, "session")) as [Buffer];
      const again = await dialTls(port, { ...alice, session });
      expect(again.isSessionReused(), "as long as nothing changed").to.equal(true);
      await until(() => accepted.length === 2);
      expect(accepted[1]?.info.clientCertificate?.commonName).to.equal("alice");
      listener.setTlsMaterial({ ...serving, ca: (await newAuthority("clients")).cert });
      const later = await dialTls(port, { ...alice, session });
      expect(later.isSessionReused()).to.equal(false);
      await until(() => accepted.length === 3);
      expect(accepted[2]?.info.clientCertificate).to.equal(undefined);
      expect(accepted[2]?.info.certificateProblem).to.be.a("string");
    });

    it("stops with those that are in their handshake, and leaves the others alone", async () => {
      const { listener, port } = await listen({ tls: serving });
      const open = await dialTls(port);
      const opening = await dial(port);
      await until(() => accepted.length === 1);
      listener.stop();
      await ended(opening);
      accepted[0]?.socket.write("still here");
      const [chunk] = (await once(open, "data")) as [Buffer];
      expect(chunk.toString()).to.equal("still here");
    });
  });

  describe("certificate files", () => {
    let directory: string;
    let clock: VirtualClock;
    let changes: TlsMaterial[];

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "satellites-tls-"));
      clock = new VirtualClock();
      changes = [];
      stops.push(() => rmSync(directory, { recursive: true, force: true }));
    });

    const write = (pair: KeyPairPem): void => {
      writeFileSync(join(directory, "tls.crt"), pair.cert);
      writeFileSync(join(directory, "tls.key"), pair.key);
    };

    async function watch(files: { clientCa?: string } = {}): Promise<TlsMaterial> {
      const watched = await watchTlsFiles(
        { cert: join(directory, "tls.crt"), key: join(directory, "tls.key"), ...files },
        { clock, logger, onChange: (material) => changes.push(material) },
      );
      stops.push(() => watched.stop());
      return watched.material;
    }

    /** Lets a look at the files come to its end. */
    async function look(): Promise<void> {
      await clock.advance(10_000);
      await until(() => clock.pendingTimers === 1);
    }

    async function failure(): Promise<SatelliteError> {
      try {
        await watch();
      } catch (error) {
        return error as SatelliteError;
      }
      throw new Error("they were taken");
    }

    it("are served, and served anew when they change", async () => {
      write(serving);
      expect(await watch()).to.deep.equal(serving);
      await look();
      expect(changes).to.deep.equal([]);
      const renewed = await (await createTestAuthority("servers")).issueServer();
      write(renewed);
      await look();
      expect(changes).to.deep.equal([renewed]);
      await look();
      expect(changes).to.have.lengthOf(1);
    });

    it("are found through the links that the kubelet exchanges", async () => {
      const place = (name: string, pair: KeyPairPem): void => {
        mkdirSync(join(directory, name));
        writeFileSync(join(directory, name, "tls.crt"), pair.cert);
        writeFileSync(join(directory, name, "tls.key"), pair.key);
      };
      place("first", serving);
      symlinkSync("first", join(directory, "..data"));
      symlinkSync("..data/tls.crt", join(directory, "tls.crt"));
      symlinkSync("..data/tls.key", join(directory, "tls.key"));
      await watch();
      const renewed = await (await createTestAuthority("servers")).issueServer();
      place("second", renewed);
      symlinkSync("second", join(directory, "..new"));
      renameSync(join(directory, "..new"), join(directory, "..data"));
      await look();
      expect(changes).to.deep.equal([renewed]);
    });

    it("that do not fit together keep the old ones, and are complained about once", async () => {
      write(serving);
      await watch();
      const renewed = await (await createTestAuthority("servers")).issueServer();
      write({ cert: renewed.cert, key: serving.key });
      await look();
      await look();
      expect(changes).to.deep.equal([]);
      expect(logger.lines.filter(({ level }) => level === "error")).to.have.lengthOf(1);
      write(renewed);
      await look();
      expect(changes).to.deep.equal([renewed]);
    });

    it("that vanish keep the old ones", async () => {
      write(serving);
      await watch();
      unlinkSync(join(directory, "tls.key"));
      await look();
      expect(changes).to.deep.equal([]);
      expect(logger.lines.at(-1)?.level).to.equal("error");
    });

    it("end the start when they are missing, do not fit, or are no certificates", async () => {
      expect((await failure()).code).to.equal("TlsFilesUnreadable");
      write({ cert: serving.cert, key: (await newAuthority("other")).key });
      expect((await failure()).code).to.equal("TlsFilesInvalid");
      write({ cert: "nothing", key: serving.key });
      expect((await failure()).code).to.equal("TlsFilesInvalid");
      write(serving);
      writeFileSync(join(directory, "ca.crt"), "nothing");
      let code: string | undefined;
      try {
        await watch({ clientCa: join(directory, "ca.crt") });
      } catch (error) {
        ({ code } = error as SatelliteError);
      }
      expect(code).to.equal("TlsFilesInvalid");
    });

    it("hold no private key back in messages", async () => {
      write({ cert: (await newAuthority("other")).cert, key: serving.key });
      const { message } = await failure();
      expect(message).to.not.contain("PRIVATE KEY");
      expect(message).to.contain("tls.key");
    });
  });
});
