import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect } from "chai";
import { UnsecuredJWT } from "jose";
import type { CliContext } from "../../../src/cli/context.ts";
import { tokensFrom } from "../../../src/cli/proxy/outside-tokens.ts";
import type { TokenSource } from "../../../src/cli/proxy/token-source.ts";
import { until } from "../../router/support/router-bench.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const AUDIENCE = "satellites.example";
const MINUTE_MS = 60_000;

describe("tokens from elsewhere than the API server", () => {
  let clock: VirtualClock;
  let environment: Record<string, string>;
  let directory: string;
  let tokens: TokenSource | undefined;

  beforeEach(() => {
    clock = new VirtualClock();
    environment = { PATH: process.env["PATH"] ?? "" };
    directory = mkdtempSync(join(tmpdir(), "satellites-token-"));
  });
  afterEach(() => {
    tokens?.close();
    rmSync(directory, { recursive: true });
  });

  function open(from: string): TokenSource {
    const context: CliContext = {
      environment,
      clock,
      random: () => 0,
      out: { write: () => {} },
      err: { write: () => {} },
      stdin: new PassThrough(),
      setExitCode: () => {},
      stop: new AbortController().signal,
    };
    tokens = tokensFrom(from, AUDIENCE, context);
    return tokens;
  }

  const jwt = (lifeMs: number, sub = "job"): string =>
    new UnsecuredJWT({ sub }).setExpirationTime(new Date(clock.now().getTime() + lifeMs)).encode();

  it("are of one of four kinds, and a mistyped one is told the four", () => {
    for (const wrong of ["gitea", "", "file", "exec:", "file:"]) {
      expect(() => open(wrong), wrong).to.throw(/github, gitlab, gitlab:VARIABLE, file:PATH or exec:COMMAND/);
    }
  });

  describe("from a file", () => {
    it("are read again when somebody else renews them", async () => {
      const file = join(directory, "token");
      const source = open(`file:${file}`);
      expect(await source.get().catch(String)).to.contain(`${file} holds no token`);
      await clock.advance(2_000);
      writeFileSync(file, "first\n");
      expect(await source.get()).to.equal("first");
      writeFileSync(file, "second\n");
      await clock.advance(2_000);
      expect(source.current()).to.equal("second");
    });
  });

  describe("from GitLab", () => {
    it("are what the job's variable holds, until it runs out", async () => {
      const token = jwt(60 * MINUTE_MS);
      environment["SATELLITE_TOKEN"] = token;
      const source = open("gitlab");
      expect(await source.get()).to.equal(token);
      await clock.advance(61 * MINUTE_MS);
      expect(source.current()).to.equal(undefined);
      expect(await source.get().catch(String)).to.contain("raise the job's timeout");
    });

    it("name the lines that set the variable where it is not set", async () => {
      expect(await open("gitlab:OTHER").get().catch(String)).to.contain(
        `$OTHER is not set; have the job set it: id_tokens: {OTHER: {aud: ${AUDIENCE}}}`,
      );
    });
  });

  describe("from GitHub", () => {
    let server: Server;
    let asked: IncomingMessage[];
    let answer: (response: ServerResponse) => void;

    beforeEach(async () => {
      asked = [];
      server = createServer((request, response) => {
        asked.push(request);
        answer(response);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      environment["ACTIONS_ID_TOKEN_REQUEST_URL"] = `http://127.0.0.1:${port}/token?api-version=2.0`;
      environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "the job's own";
      answer = (response) => response.end(JSON.stringify({ count: 1, value: jwt(5 * MINUTE_MS) }));
    });
    afterEach(() => server.close());

    it("are asked for as GitHub's own actions ask, for the router's audience", async () => {
      const token = await open("github").get();
      expect(token).to.equal(jwt(5 * MINUTE_MS));
      expect(asked[0]?.url).to.equal(`/token?api-version=2.0&audience=${AUDIENCE}`);
      expect(asked[0]?.headers.authorization).to.equal("Bearer the job's own");
    });

    it("are asked for again at four fifths of the five minutes that they last", async () => {
      const source = open("github");
      const first = await source.get();
      answer = (response) => response.end(JSON.stringify({ value: jwt(5 * MINUTE_MS, "renewed") }));
      await clock.advance(3.9 * MINUTE_MS);
      expect(asked).to.have.length(1);
      await clock.advance(0.2 * MINUTE_MS);
      await until(() => source.current() !== first);
      expect(asked).to.have.length(2);
    });

    it("say which permission a job lacks, and what GitHub answered", async () => {
      answer = (response) => response.writeHead(403).end("no");
      expect(await open("github").get().catch(String)).to.contain(
        "GitHub gives no token: it answered HTTP 403",
      );
      delete environment["ACTIONS_ID_TOKEN_REQUEST_URL"];
      expect(await open("github").get().catch(String)).to.contain("id-token: write");
    });
  });

  describe("from a program", () => {
    it("are what it prints, for the audience that it is told", async () => {
      expect(await open('exec:echo "token for $SATELLITES_TOKEN_AUDIENCE" | tr " " -').get()).to.equal(
        `token-for-${AUDIENCE}`,
      );
    });

    it("may come as kubectl's plug-ins print them, with their end", async () => {
      const status = (token: string): string =>
        JSON.stringify({
          apiVersion: "client.authentication.k8s.io/v1",
          kind: "ExecCredential",
          status: {
            token,
            expirationTimestamp: new Date(clock.now().getTime() + 5 * MINUTE_MS).toISOString(),
          },
        });
      writeFileSync(join(directory, "credential"), status("first"));
      const source = open(`exec:cat ${join(directory, "credential")}`);
      expect(await source.get()).to.equal("first");
      writeFileSync(join(directory, "credential"), status("second"));
      expect(await source.get()).to.equal("first");
      clock.set(clock.now().getTime() + 5 * MINUTE_MS);
      expect(await source.get()).to.equal("second");
    });

    it("say what it said where it fails, or prints something else", async () => {
      expect(await open("exec:echo no key in the ring >&2; exit 3").get().catch(String)).to.match(
        /no token from --token-from exec:.*: no key in the ring/,
      );
      for (const printed of ["", "{}", "two words", '{"status": {"token": 7}}']) {
        expect(await open(`exec:echo '${printed}'`).get().catch(String), printed).to.match(
          /printed neither a token alone nor an ExecCredential/,
        );
      }
    });
  });
});
