import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { expect } from "chai";
import { KubeConfig } from "@kubernetes/client-node";
import { systemClock } from "../../src/base/clock.ts";
import { forwardPort } from "../../src/kube/port-forward.ts";
import { Transport } from "../../src/kube/transport.ts";
import { PortForwardKubelet } from "../support/kubelet.ts";
import { createTestAuthority } from "../support/pki.ts";

const POD = { namespace: "satellites", name: "router-0" };
const NEVER = new AbortController().signal;

describe("a port of a pod, forwarded", () => {
  let kubelet: PortForwardKubelet;
  let transport: Transport;
  let server: Server;
  let serve: (socket: Socket) => void;

  beforeEach(async () => {
    server = createServer({ allowHalfOpen: true }, (socket) => serve(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const authority = await createTestAuthority("test");
    const { port } = server.address() as AddressInfo;
    kubelet = await PortForwardKubelet.start(authority, (pod) => (pod === POD.name ? port : 1));
    const config = new KubeConfig();
    const caData = Buffer.from(authority.caPem).toString("base64");
    config.loadFromClusterAndUser(
      { name: "test", server: kubelet.url, skipTLSVerify: false, caData },
      { name: "tester", token: "t" },
    );
    const metrics = { requests: { inc: () => {} }, requestSeconds: { observe: () => {} } };
    transport = new Transport({ config, clock: systemClock, metrics, userAgent: "test", maxConnections: 1 });
  });
  afterEach(async () => {
    for (const stream of streams.splice(0)) {
      stream.on("error", () => {});
      stream.destroy();
    }
    await transport.close();
    kubelet.stop();
    server.close();
  });

  const streams: Duplex[] = [];
  async function open(pod: typeof POD, signal: AbortSignal = NEVER): Promise<Duplex> {
    const stream = await forwardPort(transport, pod, 8372, signal);
    streams.push(stream);
    return stream;
  }

  it("carries 32 MiB each way, byte for byte", async () => {
    const sent = randomBytes(32 * 1024 * 1024);
    serve = (socket) => void socket.pipe(socket);
    const stream = await open(POD);
    stream.write(sent);
    const received: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stream) {
      received.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes === sent.length) {
        break;
      }
    }
    expect(Buffer.concat(received).equals(sent)).to.equal(true);
  }).timeout(60_000);

  it("stays open when the time to open it is over", async () => {
    serve = (socket) => void socket.pipe(socket);
    const opening = new AbortController();
    const stream = await open(POD, opening.signal);
    opening.abort();
    stream.write("still there");
    const [chunk] = (await once(stream, "data")) as [Buffer];
    expect(chunk.toString()).to.equal("still there");
    stream.write("and there");
    expect(String((await once(stream, "data"))[0])).to.equal("and there");
  });

  it("ends with what the pod sent last", async () => {
    serve = (socket) => socket.end("the last words");
    const stream = await open(POD);
    const [chunk] = (await once(stream, "data")) as [Buffer];
    expect(chunk.toString()).to.equal("the last words");
    await once(stream, "end");
  });

  it("breaks with the pod's own words where nothing listens there", async () => {
    const stream = await open({ ...POD, name: "router-1" });
    const [error] = (await once(stream.resume(), "error")) as [Error];
    expect(error.message).to.match(/^pod satellites\/router-1: .*ECONNREFUSED/);
  });

  it("is refused with the right that it takes", async () => {
    kubelet.stop();
    const failure = await forwardPort(transport, POD, 8372, NEVER).catch((error: unknown) => error);
    expect(failure).to.include({ code: "KubePortForwardFailed" });
    expect(String(failure)).to.contain("kubectl auth can-i create pods/portforward -n satellites");
  });
});
