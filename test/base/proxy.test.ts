import { expect } from "chai";
import { readProxyRule } from "../../src/base/proxy.ts";

const PROXIES = { HTTP_PROXY: "http://plain:3128", HTTPS_PROXY: "http://secure:3128" };

describe("the proxy of a URL", () => {
  const proxyOf = (url: string, environment: Record<string, string> = {}): string | undefined =>
    readProxyRule({ ...PROXIES, ...environment })(new URL(url));

  it("goes by its scheme, and is none where the environment names none", () => {
    expect(proxyOf("https://a.example/")).to.equal("http://secure:3128");
    expect(proxyOf("http://a.example/")).to.equal("http://plain:3128");
    expect(readProxyRule({ HTTP_PROXY: "http://plain:3128" })(new URL("https://a.example"))).to.equal(
      undefined,
    );
  });

  it("may be written in lower case, and without a scheme", () => {
    const rule = readProxyRule({ https_proxy: "secure:3128", no_proxy: "b.example" });
    expect(rule(new URL("https://a.example"))).to.equal("http://secure:3128");
    expect(rule(new URL("https://b.example"))).to.equal(undefined);
  });

  it("is not taken from HTTP_PROXY in a CGI program, where it would be the caller's", () => {
    expect(proxyOf("http://a.example/", { REQUEST_METHOD: "GET" })).to.equal(undefined);
    expect(proxyOf("https://a.example/", { REQUEST_METHOD: "GET" })).to.equal("http://secure:3128");
  });

  for (const url of [
    "https://localhost/",
    "https://127.0.0.1:6443/",
    "https://127.8.9.1/",
    "https://[::1]/",
  ]) {
    it(`is never used for ${url}`, () => {
      expect(proxyOf(url)).to.equal(undefined);
    });
  }

  const cases: [noProxy: string, direct: string[], proxied: string[]][] = [
    ["*", ["https://a.example", "https://10.0.0.1"], []],
    ["a.example", ["https://a.example", "https://B.A.example"], ["https://ba.example", "https://example"]],
    [".a.example", ["https://b.a.example"], ["https://a.example"]],
    ["*.a.example", ["https://b.a.example"], ["https://a.example"]],
    ["a.example:6443", ["https://a.example:6443"], ["https://a.example"]],
    ["a.example:443", ["https://a.example"], ["http://a.example"]],
    ["10.0.0.1", ["https://10.0.0.1:6443"], ["https://10.0.0.2"]],
    ["10.0.0.1:443", ["https://10.0.0.1"], ["https://10.0.0.1:6443"]],
    ["10.96.0.0/12", ["https://10.96.0.1", "https://10.111.255.255"], ["https://10.112.0.0"]],
    ["fd00::/8,fe80::1", ["https://[fd00::5]", "https://[fe80::1]"], ["https://[fe80::2]"]],
    ["[fe80::1]:443", ["https://[fe80::1]"], ["https://[fe80::1]:6443"]],
    [" , b.example , a.example,", ["https://a.example", "https://b.example"], ["https://c.example"]],
    ["10.0.0.0/33,not/8", [], ["https://10.0.0.1", "https://not"]],
  ];
  for (const [noProxy, direct, proxied] of cases) {
    it(`with NO_PROXY=${noProxy}`, () => {
      const used = (url: string): boolean => proxyOf(url, { NO_PROXY: noProxy }) !== undefined;
      expect(direct.filter(used), "reached directly").to.deep.equal([]);
      expect(
        proxied.filter((url) => !used(url)),
        "reached through the proxy",
      ).to.deep.equal([]);
    });
  }

  for (const value of ["socks5://a:1080", "http://", "http://user:secret@[bad"]) {
    it(`is refused when it is "${value}", without repeating a password`, () => {
      expect(() => readProxyRule({ HTTPS_PROXY: value }))
        .to.throw(/HTTPS_PROXY must be the URL of an HTTP proxy/)
        .with.property("message")
        .that.does.not.contain("secret");
    });
  }
});
