import { PassThrough } from "node:stream";
import { expect } from "chai";
import type { CliContext } from "../../../src/cli/context.ts";
import { accountTokens } from "../../../src/cli/proxy/account-tokens.ts";
import type { TokenSource } from "../../../src/cli/proxy/token-source.ts";
import { KubeError } from "../../../src/kube/errors.ts";
import type { HttpRequest } from "../../../src/kube/transport.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const HOUR_MS = 3_600_000;

describe("tokens for a router", () => {
  let clock: VirtualClock;
  let asked: HttpRequest[];
  let said: string;
  let failure: KubeError | undefined;
  let tokens: TokenSource;

  beforeEach(() => {
    clock = new VirtualClock();
    asked = [];
    said = "";
    failure = undefined;
    const call = async (request: HttpRequest): Promise<unknown> => {
      asked.push(request);
      if (failure !== undefined) {
        throw failure;
      }
      const expirationTimestamp = new Date(clock.now().getTime() + HOUR_MS).toISOString();
      return { status: { token: `token-${asked.length}`, expirationTimestamp } };
    };
    const context: CliContext = {
      environment: {},
      clock,
      random: () => 0,
      out: { write: () => {} },
      err: { write: (text) => (said += String(text)) },
      stdin: new PassThrough(),
      setExitCode: () => {},
      stop: new AbortController().signal,
    };
    const account = { namespace: "team-a", name: "ci" };
    tokens = accountTokens(account, "satellites.example", { call }, context);
  });
  afterEach(() => tokens.close());

  const refuse = (reason: string, status: number): void => {
    failure = new KubeError({ reason, status, message: `${reason} by the test` });
  };

  it("are asked for the account and the router's audience, once for all who need one", async () => {
    expect(await Promise.all([tokens.get(), tokens.get()])).to.deep.equal(["token-1", "token-1"]);
    expect(await tokens.get()).to.equal("token-1");
    expect(asked).to.have.length(1);
    expect(asked[0]?.path).to.equal("/api/v1/namespaces/team-a/serviceaccounts/ci/token");
    expect(JSON.parse(asked[0]?.body ?? "")).to.have.nested.property(
      "spec.audiences[0]",
      "satellites.example",
    );
    expect(tokens.owner).to.equal("system:serviceaccount:team-a:ci");
  });

  it("are renewed at four fifths of their life, again and again", async () => {
    await tokens.get();
    await clock.advance(0.79 * HOUR_MS);
    expect(tokens.current()).to.equal("token-1");
    await clock.advance(0.02 * HOUR_MS);
    expect(tokens.current()).to.equal("token-2");
    await clock.advance(0.81 * HOUR_MS);
    expect(tokens.current()).to.equal("token-3");
  });

  it("serve on while the API server is away, and are renewed when it is back", async () => {
    await tokens.get();
    refuse("Unreachable", 0);
    await clock.advance(0.9 * HOUR_MS);
    expect(tokens.current()).to.equal("token-1");
    expect(said).to.contain("not renewed yet");
    expect(asked.length).to.be.within(10, 30);
    failure = undefined;
    await clock.advance(60_000);
    expect(tokens.current())
      .to.match(/^token-\d+$/)
      .and.not.equal("token-1");
  });

  it("are never sent when they have run out: after a sleep of this machine a new one is asked for", async () => {
    await tokens.get();
    // The wall clock goes on while the machine sleeps; timers and the monotonic clock do not.
    clock.set(5 * HOUR_MS);
    expect(tokens.current()).to.equal(undefined);
    expect(await tokens.get()).to.equal("token-2");
  });

  it("say what to do where one may not make them, or the account is not there", async () => {
    refuse("Forbidden", 403);
    expect(await tokens.get().catch(String)).to.match(
      /kubectl create role satellite-token -n team-a --verb create --resource serviceaccounts\/token/,
    );
    refuse("NotFound", 404);
    expect(await tokens.get().catch(String)).to.contain("kubectl create serviceaccount ci -n team-a");
  });
});
