import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import http2 from "node:http2";
import tls from "node:tls";
import { expect } from "chai";
import { SatelliteError } from "../../../src/base/errors.ts";
import { settingsFrame } from "../../../src/http2/frame-writer.ts";
import {
  CLIENT_PREFACE,
  DEFAULT_WINDOW_BYTES,
  FrameType,
  MAX_31_BIT,
  Setting,
} from "../../../src/http2/protocol.ts";
import { newAuthority, newCertificate } from "./support/certificate.ts";
import { data, frame, headers, Peer, request, trailersOnly, u32 } from "./support/peer.ts";
import { Rig } from "./support/rig.ts";

describe("relay: TLS", function () {
  this.timeout(20_000);
  let ca: { readonly key: string; readonly cert: string };
  let rig: Rig;

  before(async () => {
    ca = await newAuthority();
  });
  beforeEach(async () => {
    rig = await new Rig({ tls: { ...ca, ca: ca.cert, requestCertificate: true } }).start();
    rig.admitAll();
  });
  afterEach(() => rig.stop());

  async function connect(options: tls.ConnectionOptions): Promise<{ peer: Peer; socket: tls.TLSSocket }> {
    const socket = tls.connect({
      port: rig.port,
      host: "127.0.0.1",
      ca: ca.cert,
      servername: "localhost",
      ...options,
    });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    const peer = rig.track(new Peer(socket));
    peer.send(CLIENT_PREFACE, settingsFrame([]));
    return { peer, socket };
  }

  for (const [name, protocols, negotiated] of [
    ["with ALPN h2", ["h2"], "h2"],
    ["without ALPN", undefined, false],
  ] as const) {
    it(`serves clients ${name}`, async () => {
      const { peer, socket } = await connect(
        protocols === undefined ? {} : { ALPNProtocols: [...protocols] },
      );
      expect(socket.alpnProtocol).equal(negotiated);
      peer.send(request(1, {}, true));
      const vm = await rig.vm.ready();
      await vm.headers(1);
      vm.send(trailersOnly(1));
      expect((await peer.headers(1)).get("grpc-status")).equal("0");
    });
  }

  it("does not serve clients that want only another protocol", async () => {
    const socket = tls.connect({
      port: rig.port,
      host: "127.0.0.1",
      ca: ca.cert,
      ALPNProtocols: ["http/1.1"],
    });
    const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
    expect(error.code).contain("NO_APPLICATION_PROTOCOL");
  });

  it("tells the gate the server name, and a verified client certificate only", async () => {
    rig.gate.answer = undefined;
    const signed = await newCertificate("alice", ca);
    const stranger = await newCertificate("mallory", await newAuthority());
    for (const [place, material] of [signed, stranger, {}].entries()) {
      const { peer } = await connect({ ...material, ALPNProtocols: ["h2"] });
      peer.send(request(1, {}, true));
      const { connection } = await rig.gate.question(place);
      expect(connection.serverName).equal("localhost");
      expect(connection.remoteAddress).equal("127.0.0.1");
      const { notAfterMs, ...subject } = connection.clientCertificate ?? {};
      expect(subject).deep.equal(place === 0 ? { commonName: "alice", organizations: ["builders"] } : {});
      expect(notAfterMs).equal(
        place === 0 ? Date.parse(new X509Certificate(signed.cert).validTo) : undefined,
      );
      expect(connection.certificateProblem).equal(place === 1 ? "CERT_SIGNATURE_FAILURE" : undefined);
    }
  });

  it("uses new certificates for new connections and leaves open ones alone", async () => {
    const { peer } = await connect({ ALPNProtocols: ["h2"] });
    const renewed = await newAuthority();
    rig.engine.setTlsMaterial(renewed);
    const session = http2.connect(`https://localhost:${rig.port}`, { ca: renewed.cert, host: "127.0.0.1" });
    session.on("error", () => {});
    await once(session, "connect");
    session.destroy();
    await peer.roundTrip();
  });

  it("says so when a listener without TLS is given certificates", async () => {
    const plain = await new Rig().start();
    try {
      expect(() => plain.engine.setTlsMaterial(ca)).throw(SatelliteError, "without TLS");
    } finally {
      await plain.stop();
    }
  });

  it("carries large bodies with backpressure", async () => {
    const { peer } = await connect({ ALPNProtocols: ["h2"] });
    peer.send(
      settingsFrame([[Setting.INITIAL_WINDOW_SIZE, MAX_31_BIT]]),
      frame(FrameType.WINDOW_UPDATE, 0, 0, u32(MAX_31_BIT - DEFAULT_WINDOW_BYTES)),
      request(1, {}, true),
    );
    const vm = await rig.vm.ready();
    await vm.headers(1);
    vm.send(headers(1, { ":status": "200" }));
    const payload = Buffer.alloc(16_000, 9);
    for (let sent = 0; sent < 1000; sent += 1) {
      vm.send(data(1, payload));
    }
    vm.send(headers(1, { "grpc-status": "0" }, true));
    expect((await peer.headers(1)).get(":status")).equal("200");
    expect((await peer.headers(1)).get("grpc-status")).equal("0");
    const got = await peer.content(1, 1000 * payload.length);
    expect(got).lengthOf(1000 * payload.length);
    expect(got.every((byte) => byte === 9)).equal(true);
  });
});

describe("relay: listening", () => {
  it("says what to do when the port is taken", async () => {
    const rig = await new Rig().start();
    const second = new Rig();
    try {
      await second.engine.listen({ host: "127.0.0.1", port: rig.port });
      expect.fail("listening succeeded");
    } catch (error) {
      expect(error).instanceOf(SatelliteError);
      expect((error as SatelliteError).code).equal("CannotListen");
      expect((error as SatelliteError).message).contain("choose another port");
    } finally {
      await rig.stop();
      await second.engine.close();
    }
  });
});
