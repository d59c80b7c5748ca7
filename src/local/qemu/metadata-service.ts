import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

/** Facts that an instance can learn about itself. */
export interface InstanceFacts {
  readonly instanceId: string;
  readonly imageId: string;
  readonly privateAddress: string;
  readonly instanceType: string;
  readonly zone: string;
  readonly region: string;
  readonly hostname: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Not base64. */
  readonly userData: string;
  readonly architecture: "x86_64" | "arm64";
  /** When the instance was launched, as ISO 8601. */
  readonly pendingTime: string;
}

const TOKEN_PATH = "/latest/api/token";
const TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER = "x-aws-ec2-metadata-token";
/** Six hours, the longest that EC2 allows. */
const MAX_TTL_SECONDS = 21_600;

/**
 * The instance metadata service, version 2 only (EC2 user guide, "Use the Instance Metadata Service": a PUT
 * gives a session token, every GET must carry it, and a PUT that came through a proxy is refused). Tokens are
 * signed, not stored, because each connection is served by a process of its own.
 *
 * @param secret signs the tokens of this instance
 * @param now wall clock
 */
export function createMetadataListener(
  facts: InstanceFacts,
  secret: Buffer,
  now: () => Date,
): RequestListener {
  return (request, response) => {
    const path = new URL(request.url ?? "/", "http://metadata").pathname.replace(
      /^\/\d{4}-\d{2}-\d{2}\//,
      "/latest/",
    );
    if (path === TOKEN_PATH) {
      issueToken(request, response, secret, now);
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, 405, "");
      return;
    }
    if (!isValidToken(request.headers[TOKEN_HEADER], secret, now)) {
      send(response, 401, "");
      return;
    }
    const body = lookUp(facts, path);
    send(response, body === undefined ? 404 : 200, body ?? "");
  };
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "text/plain", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function issueToken(
  request: IncomingMessage,
  response: ServerResponse,
  secret: Buffer,
  now: () => Date,
): void {
  if (request.method !== "PUT") {
    send(response, 405, "");
    return;
  }
  if (request.headers["x-forwarded-for"] !== undefined) {
    send(response, 403, "");
    return;
  }
  const ttl = Number(request.headers[TTL_HEADER]);
  if (!Number.isInteger(ttl) || ttl < 1 || ttl > MAX_TTL_SECONDS) {
    send(response, 400, "");
    return;
  }
  const expires = String(now().getTime() + ttl * 1000);
  response.setHeader(TTL_HEADER, String(ttl));
  send(response, 200, `${expires}.${sign(expires, secret)}`);
}

function sign(expires: string, secret: Buffer): string {
  return createHmac("sha256", secret).update(expires).digest("base64url");
}

function isValidToken(token: string | string[] | undefined, secret: Buffer, now: () => Date): boolean {
  const [expires = "", signature = ""] = typeof token === "string" ? token.split(".") : [];
  const expected = Buffer.from(sign(expires, secret));
  const given = Buffer.from(signature);
  return (
    given.length === expected.length && timingSafeEqual(given, expected) && Number(expires) > now().getTime()
  );
}

/** Text of a path, or undefined when EC2 would answer 404. A folder lists its entries. */
export function lookUp(facts: InstanceFacts, path: string): string | undefined {
  const leaves = metadataLeaves(facts);
  const clean = path.replace(/\/+$/, "");
  const leaf = leaves.get(clean);
  if (leaf !== undefined) {
    return leaf === "" ? undefined : leaf;
  }
  const prefix = `${clean}/`;
  const entries = new Set<string>();
  for (const name of leaves.keys()) {
    if (name.startsWith(prefix)) {
      const [first = "", ...rest] = name.slice(prefix.length).split("/");
      entries.add(rest.length > 0 ? `${first}/` : first);
    }
  }
  return entries.size === 0 ? undefined : [...entries].join("\n");
}

function metadataLeaves(facts: InstanceFacts): Map<string, string> {
  const meta: Record<string, string> = {
    "ami-id": facts.imageId,
    hostname: facts.hostname,
    "instance-id": facts.instanceId,
    "instance-life-cycle": "on-demand",
    "instance-type": facts.instanceType,
    "local-hostname": facts.hostname,
    "local-ipv4": facts.privateAddress,
    "placement/availability-zone": facts.zone,
    "placement/region": facts.region,
    ...Object.fromEntries(Object.entries(facts.tags).map(([key, value]) => [`tags/instance/${key}`, value])),
  };
  const leaves = new Map(Object.entries(meta).map(([name, value]) => [`/latest/meta-data/${name}`, value]));
  leaves.set("/latest/dynamic/instance-identity/document", identityDocument(facts));
  // EC2 answers 404 for an instance without user data.
  leaves.set("/latest/user-data", facts.userData);
  return leaves;
}

function identityDocument(facts: InstanceFacts): string {
  return JSON.stringify(
    {
      architecture: facts.architecture,
      availabilityZone: facts.zone,
      imageId: facts.imageId,
      instanceId: facts.instanceId,
      instanceType: facts.instanceType,
      pendingTime: facts.pendingTime,
      privateIp: facts.privateAddress,
      region: facts.region,
      version: "2017-09-30",
    },
    null,
    2,
  );
}
