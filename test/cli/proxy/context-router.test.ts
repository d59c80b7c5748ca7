import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ROUTER_EXTENSION, withContextRouter } from "../../../src/cli/proxy/context-router.ts";
import type { ConnectFlags } from "../../../src/cli/connect.ts";
import type { RouterFlags } from "../../../src/cli/router-flags.ts";
import { kubeconfig } from "../../../src/local/kubernetes/kubeconfig.ts";

describe("the router that a kubeconfig's context names", () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "satellites-context-router-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** The flags that come of some, beside a kubeconfig that says this. */
  function flagsWith(said: object | undefined, given: Partial<ConnectFlags & RouterFlags> = {}): object {
    const path = join(folder, "kubeconfig");
    const user = { name: "u", token: "t" };
    const extensions = said === undefined ? {} : { [ROUTER_EXTENSION]: said };
    writeFileSync(path, kubeconfig({ url: "https://127.0.0.1:1", caPem: "", user, extensions }));
    return withContextRouter({ via: "auto", ...given }, { environment: { KUBECONFIG: path } });
  }

  const SAID = {
    router: "127.0.0.1:8372",
    "certificate-authority": "tls/ca.pem",
    "tls-server-name": "router.example",
    tokenFile: "/run/token",
  };

  it("stands in for the flags, with paths that count from the kubeconfig", () => {
    expect(flagsWith(SAID)).to.deep.equal({
      via: "auto",
      router: "127.0.0.1:8372",
      ca: join(folder, "tls/ca.pem"),
      serverName: "router.example",
      tokenFile: "/run/token",
    });
    expect(flagsWith({ router: "router.example:443", tls: true })).to.deep.equal({
      via: "auto",
      router: "router.example:443",
      tls: true,
    });
    expect(flagsWith(undefined)).to.deep.equal({ via: "auto" });
  });

  it("gives way to flags: about the router as a whole, about the rest one by one", () => {
    for (const given of [{ router: "other:1" }, { via: "service" }, { routerNamespace: "ops" }] as const) {
      expect(flagsWith(SAID, given)).to.deep.equal({ via: "auto", ...given });
    }
    expect(flagsWith(SAID, { ca: "mine.pem" })).to.include({ ca: "mine.pem", tokenFile: "/run/token" });
    for (const given of [
      { tokenFile: "mine" },
      { tokenFrom: "github" },
      { serviceAccount: "mine" },
      { clientCert: "mine.pem" },
    ]) {
      const flags = flagsWith(SAID, given);
      expect(flags).to.include({ router: "127.0.0.1:8372", ...given });
      expect(Reflect.get(flags, "tokenFile")).to.equal(Reflect.get(given, "tokenFile"));
    }
  });

  it("says what is wrong with it, and how to go on", () => {
    for (const [said, why] of [
      [{}, "router must be HOST:PORT"],
      [{ router: "nowhere" }, '"nowhere" is not an address'],
      [{ router: "a:1", tokenFile: 5 }, "tokenFile must be a text"],
      [{ router: "a:1", tls: "yes" }, "tls must be true or false"],
    ] as const) {
      expect(() => flagsWith(said))
        .to.throw(why)
        .with.property("code", "KubeConfigInvalid");
      expect(() => flagsWith(said)).to.throw("name a router with --router HOST:PORT");
    }
  });
});
