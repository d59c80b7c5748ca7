import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { noProxy, type ProxyRule } from "../../../src/base/proxy.ts";
import { createFetchJson } from "../../../src/router/oidc/fetch-json.ts";
import { HttpProxy } from "../../support/http-proxy.ts";
import { TestIssuer } from "../../support/oidc-issuer.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** Over the network of this machine, from a server with a certificate of its own authority. */
describe("reading an OIDC issuer's documents", () => {
  let directory: string;
  let caFile: string;
  let issuer: TestIssuer;
  let clock: VirtualClock;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "satellites-oidc-"));
    caFile = join(directory, "ca.crt");
    issuer = await TestIssuer.create();
    writeFileSync(caFile, await issuer.listen());
  });
  after(async () => {
    await issuer.close();
    rmSync(directory, { recursive: true, force: true });
  });
  beforeEach(() => {
    clock = new VirtualClock();
    issuer.trouble = undefined;
    issuer.discovery = {};
  });

  const read = (
    path = "/keys",
    options: { caFile?: string; proxyFor?: ProxyRule } = { caFile },
  ): Promise<unknown> => createFetchJson({ clock, proxyFor: noProxy, ...options })(issuer.url + path);

  async function problem(reading: Promise<unknown>): Promise<string> {
    try {
      await reading;
      return "none";
    } catch (error) {
      expect(error).to.have.property("code", "OidcIssuerUnavailable");
      return error instanceof Error ? error.message : "";
    }
  }

  it("trusts the authority that it is given", async () => {
    expect(await read()).to.deep.equal({ keys: issuer.publicKeys });
  });

  it("trusts no other", async () => {
    expect(await problem(read("/keys", {}))).to.match(/cannot be read \(.*certificate/);
  });

  it("goes through the proxy that the environment names", async () => {
    const proxy = new HttpProxy();
    const url = await proxy.start();
    try {
      expect(await read("/keys", { caFile, proxyFor: () => url })).to.have.property("keys");
      expect(proxy.tunnels).to.deep.equal([new URL(issuer.url).host]);
    } finally {
      await proxy.stop();
    }
  });

  it("says which file of authorities is missing", async () => {
    expect(await problem(read("/keys", { caFile: join(directory, "none") }))).to.match(
      /cannot be read \(ENOENT.*none/,
    );
  });

  it("follows no redirect", async () => {
    issuer.trouble = { status: 302, headers: { location: `${issuer.url}/keys` } };
    expect(await problem(read())).to.match(/answered HTTP 302$/);
  });

  it("takes no error for a document", async () => {
    issuer.trouble = { status: 503 };
    expect(await problem(read())).to.match(/answered HTTP 503$/);
  });

  it("reads no more than 256 KiB", async () => {
    issuer.discovery = { claims_supported: ["x".repeat(256 * 1024)] };
    expect(await problem(read("/.well-known/openid-configuration"))).to.match(/answered more than 256 KiB$/);
  });

  it("gives up after five seconds", async () => {
    issuer.trouble = "silent";
    const asked = issuer.asked.length;
    const reading = problem(read());
    while (issuer.asked.length === asked) {
      await clock.settle();
    }
    await clock.advance(5_000);
    expect(await reading).to.match(/did not answer within 5 s$/);
  });

  it("speaks HTTPS alone", async () => {
    const fetchJson = createFetchJson({ clock, proxyFor: noProxy });
    expect(await problem(fetchJson("http://localhost/keys"))).to.match(/does not begin with https:/);
    expect(await problem(fetchJson("file:///etc/passwd"))).to.match(/does not begin with https:/);
  });
});
