import { createServer, type Server as NetServer, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { expect } from "chai";
import { SatelliteError } from "../../src/base/errors.ts";
import { dialError, dialVm, OtherVmError, type VmAddress } from "../../src/router/vm-dial.ts";
import { fingerprint, newIdentity } from "../support/tls-vm.ts";

describe("connecting to a VM", () => {
  const identity = newIdentity("i-1");
  const stops: (() => void)[] = [];

  afterEach(() => {
    for (const stop of stops.splice(0)) {
      stop();
    }
  });

  async function listen(server: NetServer): Promise<number> {
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    stops.push(() => server.close());
    return (server.address() as AddressInfo).port;
  }

  /** A VM that keeps what it is told. */
  async function tlsVm(heard: Buffer[], maxVersion: "TLSv1.2" | "TLSv1.3" = "TLSv1.3"): Promise<number> {
    return listen(
      createTlsServer({ key: identity.keyPem, cert: identity.certificatePem, maxVersion }, (socket) => {
        socket.on("error", () => {});
        socket.on("data", (chunk: Buffer) => heard.push(chunk));
        socket.once("end", () => socket.end());
      }).on("tlsClientError", () => {}),
    );
  }

  /** Dials, says hello when it may, and ends. @returns the error, if there was one */
  async function hello(address: VmAddress): Promise<Error | undefined> {
    let error: Error | undefined;
    await new Promise<void>((resolve) => {
      const socket: Duplex = dialVm(address, (open) => open.end("hello"));
      socket.resume();
      socket.on("error", (thrown) => {
        error = dialError(address, thrown);
      });
      socket.once("close", () => resolve());
    });
    return error;
  }

  const at = (port: number, tlsFingerprint?: string): VmAddress => ({
    host: "127.0.0.1",
    port,
    tlsFingerprint,
  });

  it("lets bytes go to the VM with the right key", async () => {
    const heard: Buffer[] = [];
    const port = await tlsVm(heard);
    expect(await hello(at(port, fingerprint(identity)))).to.equal(undefined);
    expect(String(Buffer.concat(heard))).to.equal("hello");
  });

  it("ends with OtherVM where another key is shown, and says which", async () => {
    const heard: Buffer[] = [];
    const other = fingerprint(newIdentity("i-2"));
    const error = await hello(at(await tlsVm(heard), other));
    expect(error).to.be.instanceOf(OtherVmError).with.property("shown", fingerprint(identity));
    expect(error).to.have.property("code", "OtherVM");
    expect(error?.message).to.include(other).and.include("nothing was sent");
    expect(heard).to.deep.equal([]);
  });

  for (const [what, start] of [
    ["serves plain text", () => listen(createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n")))],
    ["speaks TLS 1.2 at most", () => tlsVm([], "TLSv1.2")],
  ] as const) {
    it(`says so where the VM ${what}`, async () => {
      const error = await hello(at(await start(), fingerprint(identity)));
      expect(error).to.be.instanceOf(SatelliteError).with.property("code", "VMNotTLS");
      expect(error?.message).to.include("does not serve TLS 1.3");
    });
  }

  it("is plain TCP where the VM is known by no key", async () => {
    const heard: Buffer[] = [];
    const port = await listen(createServer((socket) => socket.on("data", (chunk) => heard.push(chunk))));
    const sent = new Promise<void>((resolve) => {
      const socket = dialVm(at(port), (open) => open.write("hello"));
      stops.push(() => socket.destroy());
      const look = (): void => (heard.length > 0 ? resolve() : void setImmediate(look));
      look();
    });
    await sent;
    expect(String(Buffer.concat(heard))).to.equal("hello");
  });
});
