import { expect } from "chai";
import type { TokenUser } from "../../../src/local/kubernetes/authentication.ts";
import type { AccessRequest } from "../../../src/local/kubernetes/reviews.ts";
import { GrpcStatus, type GrpcStatusCode } from "../../../src/router/engine.ts";
import { createTestAuthority, type KeyPairPem } from "../../support/pki.ts";
import type { Peer } from "../relay/support/peer.ts";
import { RawVM } from "../support/http2-peers.ts";
import { AccessRouter, Cluster, headerFrames, requestFor, type Fields } from "./access-bench.ts";
import { newAuthority, newClientCertificate, type Certificate } from "./certificates.ts";

const AUDIENCE = "satellites.dev";
const GOOD = "alice-token-0123456789";

const user = (name: string, token: string, audiences: readonly string[] = [AUDIENCE]): TokenUser => ({
  name,
  groups: [],
  token,
  audiences,
});

const USERS: readonly TokenUser[] = [
  user("alice", GOOD),
  { name: "alice", groups: [], token: "alice-for-the-api-server" },
  user("alice", "alice-for-the-vault", ["vault"]),
  user("alice", "alice-for-a-lookalike", ["satellites.dev.evil.example", "satellites", ""]),
  user("mallory", "mallory-token"),
  user("carol", "carol-token"),
  user("erin", "erin-token"),
  user("system:anonymous", "nobodys-token"),
];

/** What each may, as RBAC would say it: ada and bob are alice's; carol's is another one; erin's are elsewhere. */
function allows({ user: { name, groups }, resource = {} }: AccessRequest): boolean {
  const of = (key: string): string => JSON.stringify(resource[key]);
  if (
    of("verb") !== '"create"' ||
    of("group") !== '"satellites.dev"' ||
    of("resource") !== '"satellites"' ||
    of("subresource") !== '"connect"'
  ) {
    return false;
  }
  const isHers = of("namespace") === '"team-a"' && ['"ada"', '"bob"'].includes(of("name"));
  return (
    ((name === "alice" || groups.includes("builders")) && isHers) ||
    (name === "carol" && of("namespace") === '"team-a"' && of("name") === '"carols"') ||
    (name === "erin" && of("namespace") === '"team-b"')
  );
}

interface WrongCredential {
  readonly title: string;
  readonly fields?: Fields;
  /** Sent as trailers of the request. */
  readonly trailers?: Fields;
  readonly certificate?: string;
  readonly status: GrpcStatusCode;
  readonly reason: string;
}

type Expected = Pick<WrongCredential, "status" | "reason">;

const NONE: Expected = { status: GrpcStatus.UNAUTHENTICATED, reason: "NoCredential" };
const MALFORMED: Expected = { status: GrpcStatus.UNAUTHENTICATED, reason: "MalformedCredential" };
const INVALID: Expected = { status: GrpcStatus.UNAUTHENTICATED, reason: "InvalidCredential" };
const DENIED: Expected = { status: GrpcStatus.PERMISSION_DENIED, reason: "NotPermitted" };

const authorization = (...values: readonly string[]): Fields =>
  values.map((value) => ["authorization", value] as const);

const jwt = (claims: object, algorithm = "none"): string =>
  [{ alg: algorithm, typ: "JWT" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");

const WRONG: readonly WrongCredential[] = [
  // Nothing, or in a place where nobody looks.
  { title: "nothing at all", ...NONE },
  { title: "a token as proxy-authorization", fields: [["proxy-authorization", `Bearer ${GOOD}`]], ...NONE },
  { title: "a token as x-authorization", fields: [["x-authorization", `Bearer ${GOOD}`]], ...NONE },
  { title: "a token as a cookie", fields: [["cookie", `authorization=${GOOD}`]], ...NONE },
  { title: "a token in the trailers", trailers: authorization(`Bearer ${GOOD}`), ...NONE },
  { title: "the user's name alone", fields: [["x-remote-user", "alice"]], ...NONE },
  { title: "the group's name alone", fields: [["x-remote-group", "builders"]], ...NONE },
  { title: "impersonation of a user", fields: [["impersonate-user", "alice"]], ...NONE },
  {
    title: "a certificate that a proxy would forward",
    fields: [["x-forwarded-client-cert", 'Subject="CN=alice,O=builders"']],
    ...NONE,
  },
  { title: "a certificate's name as a header", fields: [["ssl-client-subject-dn", "CN=alice"]], ...NONE },
  // Malformed.
  { title: "an empty authorization", fields: authorization(""), ...MALFORMED },
  { title: "a scheme without a token", fields: authorization("Bearer"), ...MALFORMED },
  { title: "a bare token as authorization", fields: authorization(GOOD), ...MALFORMED },
  { title: "Basic credentials", fields: authorization("Basic YWxpY2U6cGFzcw=="), ...MALFORMED },
  { title: "Digest credentials", fields: authorization('Digest username="alice"'), ...MALFORMED },
  { title: "Negotiate credentials", fields: authorization("Negotiate YII="), ...MALFORMED },
  { title: "the good token under another scheme", fields: authorization(`Token ${GOOD}`), ...MALFORMED },
  { title: "two words after the scheme", fields: authorization(`Bearer ${GOOD} x`), ...MALFORMED },
  { title: "a comma after the scheme", fields: authorization(`Bearer,${GOOD}`), ...MALFORMED },
  { title: "a tab after the scheme", fields: authorization(`Bearer\t${GOOD}`), ...MALFORMED },
  { title: "a list of credentials", fields: authorization(`Bearer ${GOOD}, Bearer ${GOOD}`), ...MALFORMED },
  { title: "a parameter after the token", fields: authorization(`Bearer ${GOOD};x=1`), ...MALFORMED },
  { title: "a quoted token", fields: authorization(`Bearer "${GOOD}"`), ...MALFORMED },
  { title: "padding within the token", fields: authorization(`Bearer ${GOOD}=x`), ...MALFORMED },
  { title: "letters that no token has", fields: authorization("Bearer t\u00f6ken"), ...MALFORMED },
  { title: "the scheme twice", fields: authorization(`Bearer Bearer ${GOOD}`), ...MALFORMED },
  { title: "an oversized token", fields: authorization(`Bearer ${"a".repeat(17_000)}`), ...MALFORMED },
  { title: "a huge token", fields: authorization(`Bearer ${"a".repeat(60_000)}`), ...MALFORMED },
  { title: "an oversized satellite-token", fields: [["satellite-token", "a".repeat(17_000)]], ...MALFORMED },
  { title: "an empty satellite-token", fields: [["satellite-token", ""]], ...MALFORMED },
  { title: "a scheme in satellite-token", fields: [["satellite-token", `Bearer ${GOOD}`]], ...MALFORMED },
  { title: "a scheme in satellite_token", fields: [["satellite_token", `Bearer ${GOOD}`]], ...MALFORMED },
  // Repeated, or in disagreement.
  {
    title: "authorization twice, both good",
    fields: authorization(`Bearer ${GOOD}`, `Bearer ${GOOD}`),
    ...MALFORMED,
  },
  {
    title: "authorization twice, first bad",
    fields: authorization("Bearer x", `Bearer ${GOOD}`),
    ...MALFORMED,
  },
  {
    title: "authorization twice, last bad",
    fields: authorization(`Bearer ${GOOD}`, "Bearer x"),
    ...MALFORMED,
  },
  {
    title: "satellite-token twice",
    fields: [
      ["satellite-token", GOOD],
      ["satellite-token", GOOD],
    ],
    ...MALFORMED,
  },
  {
    title: "satellite_token twice",
    fields: [
      ["satellite_token", GOOD],
      ["satellite_token", GOOD],
    ],
    ...MALFORMED,
  },
  {
    title: "authorization and satellite-token that disagree",
    fields: [...authorization(`Bearer ${GOOD}`), ["satellite-token", "mallory-token"]],
    ...MALFORMED,
  },
  {
    title: "authorization and satellite_token that disagree",
    fields: [...authorization("Bearer mallory-token"), ["satellite_token", GOOD]],
    ...MALFORMED,
  },
  {
    title: "satellite-token and satellite_token that disagree",
    fields: [
      ["satellite-token", GOOD],
      ["satellite_token", "x"],
    ],
    ...MALFORMED,
  },
  {
    title: "Basic credentials beside a good satellite-token",
    fields: [...authorization("Basic YWxpY2U6cGFzcw=="), ["satellite-token", GOOD]],
    ...MALFORMED,
  },
  // Not valid, or not for us.
  { title: "an unknown token", fields: authorization("Bearer unknown"), ...INVALID },
  { title: "an unknown token, scheme in lower case", fields: authorization("bearer unknown"), ...INVALID },
  { title: "an unknown satellite-token", fields: [["satellite-token", "unknown"]], ...INVALID },
  { title: "an unknown satellite_token", fields: [["satellite_token", "unknown"]], ...INVALID },
  { title: "the good token in capitals", fields: authorization(`Bearer ${GOOD.toUpperCase()}`), ...INVALID },
  { title: "the good token, longer", fields: authorization(`Bearer ${GOOD}a`), ...INVALID },
  { title: "the good token, shorter", fields: authorization(`Bearer ${GOOD.slice(0, -1)}`), ...INVALID },
  { title: "the good token, padded", fields: authorization(`Bearer ${GOOD}==`), ...INVALID },
  {
    title: "a token without signature",
    fields: authorization(`Bearer ${jwt({ sub: "alice" })}.`),
    ...INVALID,
  },
  {
    title: "a token that ended in 2001",
    fields: authorization(`Bearer ${jwt({ sub: "alice", exp: 1e9 }, "RS256")}.c2ln`),
    ...INVALID,
  },
  {
    title: "a token for the API server",
    fields: authorization("Bearer alice-for-the-api-server"),
    ...INVALID,
  },
  { title: "a token for another service", fields: authorization("Bearer alice-for-the-vault"), ...INVALID },
  {
    title: "a token for audiences that look like ours",
    fields: authorization("Bearer alice-for-a-lookalike"),
    ...INVALID,
  },
  { title: "the router's own token", fields: authorization("Bearer token-of-the-router"), ...INVALID },
  { title: "a token of nobody in particular", fields: authorization("Bearer nobodys-token"), ...INVALID },
  // Known, and not permitted.
  { title: "a stranger's token", fields: authorization("Bearer mallory-token"), ...DENIED },
  { title: "a stranger's satellite-token", fields: [["satellite-token", "mallory-token"]], ...DENIED },
  { title: "a stranger's satellite_token", fields: [["satellite_token", "mallory-token"]], ...DENIED },
  { title: "a right to another satellite only", fields: authorization("Bearer carol-token"), ...DENIED },
  { title: "a right in another namespace only", fields: authorization("Bearer erin-token"), ...DENIED },
  // Certificates.
  { title: "a certificate of an unknown authority", certificate: "unknown", ...MALFORMED },
  { title: "a certificate of an authority of the same name", certificate: "impostor", ...MALFORMED },
  { title: "a certificate that signed itself", certificate: "selfSigned", ...MALFORMED },
  { title: "a certificate that has expired", certificate: "expired", ...MALFORMED },
  { title: "a certificate that begins tomorrow", certificate: "tomorrow", ...MALFORMED },
  { title: "a certificate for servers", certificate: "server", ...MALFORMED },
  { title: "a certificate without a name", certificate: "nameless", ...MALFORMED },
  { title: "a certificate with two names", certificate: "twoNames", ...MALFORMED },
  { title: "a stranger's certificate", certificate: "mallory", ...DENIED },
  { title: "a certificate of a group without the right", certificate: "visitors", ...DENIED },
  {
    title: "a good certificate beside an unknown token",
    certificate: "alice",
    fields: authorization("Bearer unknown"),
    ...INVALID,
  },
  {
    title: "a good certificate beside a stranger's token",
    certificate: "alice",
    fields: authorization("Bearer mallory-token"),
    ...DENIED,
  },
  {
    title: "a good certificate beside something malformed",
    certificate: "alice",
    fields: authorization("Basic YWxpY2U6cGFzcw=="),
    ...MALFORMED,
  },
];

async function makeCertificates(ca: Certificate): Promise<ReadonlyMap<string, Certificate>> {
  const dayMs = 86_400_000;
  const day = (offset: number): Date => new Date(Date.now() + offset * dayMs);
  const made: [string, Promise<Certificate>][] = [
    ["alice", newClientCertificate("alice", ca)],
    ["builder", newClientCertificate("bert", ca, { organizations: ["builders"] })],
    ["mallory", newClientCertificate("mallory", ca)],
    ["visitors", newClientCertificate("vera", ca, { organizations: ["visitors"] })],
    ["unknown", newAuthority("others").then((other) => newClientCertificate("alice", other))],
    ["impostor", newAuthority("clients").then((other) => newClientCertificate("alice", other))],
    ["selfSigned", newClientCertificate("alice", undefined)],
    ["expired", newClientCertificate("alice", ca, { notBefore: day(-2), notAfter: day(-1) })],
    ["tomorrow", newClientCertificate("alice", ca, { notBefore: day(1), notAfter: day(2) })],
    ["server", newClientCertificate("alice", ca, { usage: "serverAuth" })],
    ["nameless", newClientCertificate("", ca, { commonNames: [], organizations: ["builders"] })],
    ["twoNames", newClientCertificate("", ca, { commonNames: ["mallory", "alice"] })],
  ];
  return new Map(
    await Promise.all(made.map(async ([name, certificate]) => [name, await certificate] as const)),
  );
}

describe("wrong credentials", function () {
  this.timeout(30_000);
  let vm: RawVM;
  const trailersSeen: string[] = [];
  let cluster: Cluster;
  let ca: Certificate;
  let serving: KeyPairPem;
  let servingCa: string;
  let certificates: ReadonlyMap<string, Certificate>;

  before(async () => {
    vm = await RawVM.start((stream) => {
      stream.once("trailers", (_headers, _flags, raw: string[]) => trailersSeen.push(...raw));
      stream.once("end", () => {
        stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" },
          { endStream: true },
        );
      });
      stream.resume();
    });
    cluster = await Cluster.start(USERS, allows, vm.port);
    ca = await newAuthority("clients");
    certificates = await makeCertificates(ca);
    const authority = await createTestAuthority("servers");
    serving = await authority.issueServer();
    servingCa = authority.caPem;
  });
  after(async () => {
    await cluster?.stop();
    vm?.stop();
  });

  it("are at least sixty", () => {
    expect(WRONG).to.have.lengthOf.at.least(60);
    expect(new Set(WRONG.map(({ title }) => title)).size).to.equal(WRONG.length);
  });

  describe("at a router", () => {
    let router: AccessRouter;
    /** One plain client for all cases without certificate: a refusal must not spoil the connection. */
    let shared: Peer;
    let lastId = -1;

    const connect = (name?: string): Promise<Peer> =>
      router.connect({ ca: servingCa, ...(name === undefined ? {} : certificates.get(name)) });

    before(async () => {
      router = await AccessRouter.start(cluster, {
        tls: { ...serving, ca: ca.cert, requestCertificate: true },
      });
      shared = await connect();
    });
    after(() => router?.stop());

    for (const { title, fields = [], trailers, certificate, status, reason } of WRONG) {
      it(`${title}: nothing is woken, written or forwarded`, async () => {
        const peer = certificate === undefined ? shared : await connect(certificate);
        const states = [await cluster.read("ada"), await cluster.read("bob")];
        const arrived = vm.requests.length;
        for (const name of ["ada", "bob"]) {
          lastId += 2;
          peer.send(requestFor(lastId, name, fields, trailers === undefined));
          if (trailers !== undefined) {
            peer.send(headerFrames(lastId, trailers, true));
          }
          const answer = await peer.headers(lastId);
          expect(answer.get("grpc-status"), answer.get("grpc-message")).to.equal(String(status));
          expect(answer.get("satellite-reason")).to.equal(reason);
          // The message must not repeat a secret to whoever reads it on the way.
          expect(answer.get("grpc-message")).to.not.contain(GOOD);
        }
        expect(vm.requests.length).to.equal(arrived);
        expect(router.client.changes).to.deep.equal([]);
        expect([await cluster.read("ada"), await cluster.read("bob")]).to.deep.equal(states);
      });
    }

    it("is told the same of a satellite that exists and of one that does not", async () => {
      const messages: (string | undefined)[] = [];
      for (const name of ["ada", "nobody"]) {
        lastId += 2;
        shared.send(requestFor(lastId, name, authorization("Bearer mallory-token")));
        const answer = await shared.headers(lastId);
        expect(answer.get("grpc-status")).to.equal(String(GrpcStatus.PERMISSION_DENIED));
        expect(answer.get("satellite-phase")).to.equal(undefined);
        messages.push(answer.get("grpc-message")?.replaceAll(name, "NAME"));
      }
      expect(messages[0]).to.equal(messages[1]);
    });

    it("logs no token", () => {
      const text = JSON.stringify(router.logger.lines);
      expect(router.logger.lines).to.not.have.length(0);
      for (const { token } of USERS) {
        expect(text).to.not.contain(token);
      }
    });

    describe("beside good ones", () => {
      const good: [string, Fields, string?][] = [
        ["authorization", authorization(`Bearer ${GOOD}`)],
        ["authorization, scheme in capitals", authorization(`BEARER ${GOOD}`)],
        ["satellite-token", [["satellite-token", GOOD]]],
        ["satellite_token", [["satellite_token", GOOD]]],
        ["both, in agreement", [...authorization(`Bearer ${GOOD}`), ["satellite-token", GOOD]]],
        ["a user's certificate", [], "alice"],
        ["a group's certificate", [], "builder"],
        ["a token beside a stranger's certificate", authorization(`Bearer ${GOOD}`), "mallory"],
        [
          "a certificate, and something in proxy-authorization",
          [["proxy-authorization", "Basic eA=="]],
          "alice",
        ],
      ];
      for (const [title, fields, certificate] of good) {
        it(`lets ${title} in, and the VM sees none of it`, async () => {
          const peer = await connect(certificate);
          for (const id of [1, 3]) {
            const arrived = vm.requests.length;
            peer.send(requestFor(id, "ada", [...fields, ["x-for-the-vm", "kept"]]));
            expect((await peer.headers(id)).get("grpc-status")).to.equal("0");
            const raw = vm.requests.slice(arrived).flat();
            expect(raw).to.include("kept");
            expect(JSON.stringify(raw)).to.not.match(/authorization|token|alice-/);
          }
        });
      }

      it("keeps a credential in a request's trailers from the VM", async () => {
        const peer = await connect();
        trailersSeen.length = 0;
        peer.send(requestFor(1, "ada", authorization(`Bearer ${GOOD}`), false));
        peer.send(headerFrames(1, [...authorization(`Bearer ${GOOD}`), ["x-check", "sum"]], true));
        expect((await peer.headers(1)).get("grpc-status")).to.equal("0");
        expect(trailersSeen).to.deep.equal(["x-check", "sum"]);
      });
    });
  });
});
