import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import {
  readAccessOptions,
  createAccess,
  type RouterAccessOptions,
} from "../../src/commands/router-access.ts";
import type { Access } from "../../src/router/access.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("access options of the router", () => {
  const access = (options: RouterAccessOptions): Access =>
    createAccess(
      options,
      readAccessOptions(options),
      () => ({
        create() {
          throw new Error("nobody is to be asked");
        },
      }),
      new Registry(),
      {
        environment: {},
        clock: new VirtualClock(),
        random: () => 0.5,
        logger: new CollectingLogger(),
        stop: new AbortController().signal,
      },
    );

  const ask = (of: Access): unknown =>
    of.check({
      connection: { id: 1, remoteAddress: "127.0.0.1" },
      headers: [],
      satellite: { namespace: "team-a", name: "ada", source: "metadata" },
      signal: new AbortController().signal,
    });

  const listens = (options: RouterAccessOptions, host: string, isTls = false): boolean => {
    try {
      access(options).checkListener(host, isTls);
      return true;
    } catch {
      return false;
    }
  };

  it("ask for a credential when there are none", () => {
    expect(ask(access({}))).to.deep.include({ kind: "refuse", status: 16 });
  });

  it("let everybody in only when told so", () => {
    expect(ask(access({ anonymous: true }))).to.deep.include({ kind: "allow" });
    expect(ask(access({ insecureAnonymous: true }))).to.deep.include({ kind: "allow" });
  });

  const listeners: [RouterAccessOptions, string, boolean, boolean][] = [
    [{}, "127.0.0.1", false, true],
    [{}, "0.0.0.0", false, false],
    [{}, "0.0.0.0", true, true],
    [{ insecureCleartext: true }, "0.0.0.0", false, true],
    [{ anonymous: true }, "127.0.0.1", false, true],
    [{ anonymous: true }, "::1", false, true],
    [{ anonymous: true }, "0.0.0.0", false, false],
    [{ anonymous: true }, "0.0.0.0", true, false],
    [{ anonymous: true, insecureCleartext: true }, "0.0.0.0", false, false],
    [{ insecureAnonymous: true }, "0.0.0.0", false, true],
  ];
  for (const [options, host, isTls, may] of listeners) {
    const flags = Object.keys(options).join(" and ") || "no flag";
    it(`${may ? "allow" : "forbid"} ${host}${isTls ? " with TLS" : ""} with ${flags}`, () => {
      expect(listens(options, host, isTls)).to.equal(may);
    });
  }

  const wrong: [string, RouterAccessOptions][] = [
    ["a certificate without its key", { tlsCert: "tls.crt" }],
    ["a key without its certificate", { tlsKey: "tls.key" }],
    ["authorities of clients without TLS", { clientCa: "ca.crt" }],
    [
      "authorities of clients where everybody is let in",
      { anonymous: true, tlsCert: "a", tlsKey: "b", clientCa: "c" },
    ],
    ["an audience where everybody is let in", { insecureAnonymous: true, tokenAudience: ["satellites.dev"] }],
    ["an issuer where everybody is let in", { anonymous: true, oidcIssuer: [{ url: "https://a.example" }] }],
  ];
  for (const [what, options] of wrong) {
    it(`say what is wrong with ${what}`, () => {
      expect(() => readAccessOptions(options))
        .to.throw()
        .with.property("code", "InvalidOption");
    });
  }

  it("are read as they are meant", () => {
    const settings = readAccessOptions({
      tlsCert: "tls.crt",
      tlsKey: "tls.key",
      clientCa: "ca.crt",
      proxyProtocolFrom: "10.0.0.0/8",
      maxHeldPerIdentity: 7,
      wakeBurst: 8,
      wakesPerMinute: 9,
    });
    expect(settings.tlsFiles).to.deep.equal({ cert: "tls.crt", key: "tls.key", clientCa: "ca.crt" });
    expect(settings.proxyProtocolFrom?.check("10.1.2.3")).to.equal(true);
    expect(settings.identities).to.deep.equal({ maxHeld: 7, wakeBurst: 8, wakesPerMinute: 9 });
  });
});
