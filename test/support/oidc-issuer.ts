import { createServer, type Server } from "node:https";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import { createTestAuthority } from "./pki.ts";

/** Claims of a token of a CI job, shaped like those that GitHub and GitLab issue. */
export type Claims = Readonly<Record<string, unknown>>;

/** How a token differs from a good one. */
export interface TokenChanges {
  readonly alg?: string;
  readonly key?: CryptoKey | Uint8Array;
  /** `null`: the token names no key. */
  readonly kid?: string | null;
}

interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

/** An OIDC issuer: signs tokens, publishes its keys, and changes them. */
export class TestIssuer {
  /** As the claim `iss` has it. */
  url: string;
  /** What the discovery document says besides. */
  discovery: Claims = {};
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** Answers instead of the documents; `undefined`: no answer at all. */
  trouble: { readonly status: number; readonly headers?: Record<string, string> } | "silent" | undefined;
  readonly #keys: IssuerKey[] = [];
  #server: Server | undefined;
  #made = 0;

  constructor(url: string) {
    this.url = url;
  }

  static async create(url = "https://issuer.example", alg = "ES256"): Promise<TestIssuer> {
    const issuer = new TestIssuer(url);
    await issuer.addKey(alg);
    return issuer;
  }

  /** Signs by a new key from now on; the old ones stay published. */
  async addKey(alg = "ES256"): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `key-${(this.#made += 1)}`;
    this.#keys.push({ kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } });
  }

  /** Publishes the newest key alone. */
  withdrawOldKeys(): void {
    this.#keys.splice(0, this.#keys.length - 1);
  }

  /** The public keys, oldest first. */
  get publicKeys(): readonly JWK[] {
    return this.#keys.map(({ jwk }) => jwk);
  }

  /** A token that is good now and for five minutes, unless `claims` say otherwise. */
  token(claims: Claims = {}, changes: TokenChanges = {}, now = new Date()): Promise<string> {
    const newest = this.#keys.at(-1);
    if (newest === undefined) {
      throw new Error("the issuer has no key");
    }
    const seconds = Math.floor(now.getTime() / 1000);
    const { alg = newest.alg, key = newest.privateKey, kid = newest.kid } = changes;
    return new SignJWT({
      iss: this.url,
      aud: "satellites.dev",
      sub: "repo:acme/app:ref:refs/heads/main",
      iat: seconds,
      nbf: seconds,
      exp: seconds + 300,
      ...claims,
    })
      .setProtectedHeader({ alg, ...(kid === null ? {} : { kid }) })
      .sign(key);
  }

  /** What it publishes under a path. */
  document(path: string): Claims | undefined {
    this.asked.push(path);
    const { pathname } = new URL(this.url);
    switch (path) {
      case `${pathname.replace(/\/$/, "")}/.well-known/openid-configuration`:
        return { issuer: this.url, jwks_uri: new URL("/keys", this.url).href, ...this.discovery };
      case "/keys":
        return { keys: this.publicKeys };
      default:
        return undefined;
    }
  }

  /** Publishes on a port of this machine, over HTTPS; `url` then says where. Returns the certificate's authority (PEM). */
  async listen(): Promise<string> {
    const authority = await createTestAuthority("authority of the issuer");
    const { cert, key } = await authority.issueServer();
    const server = createServer({ cert, key }, (request, response) => {
      const document = this.document(request.url ?? "");
      if (this.trouble === "silent") {
        return;
      }
      if (this.trouble !== undefined || document === undefined) {
        response.writeHead(this.trouble?.status ?? 404, this.trouble?.headers ?? {}).end("{}");
        return;
      }
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    this.url = `https://localhost:${typeof address === "object" ? (address?.port ?? 0) : 0}`;
    return authority.caPem;
  }

  /** Stops; connections are broken. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }
}
