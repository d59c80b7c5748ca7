import type { TLSSocket } from "node:tls";

import type { ConnectionInfo } from "./engine.ts";

/** What a TLS handshake tells about a client. */
export type TlsIdentity = Pick<ConnectionInfo, "serverName" | "clientCertificate" | "certificateProblem">;

/** Server name and verified client certificate of a connection, or why a certificate that was shown does not count. */
export function tlsIdentityOf(socket: TLSSocket): TlsIdentity {
  const serverName: unknown = Reflect.get(socket, "servername");
  return {
    ...(typeof serverName === "string" && serverName !== "" ? { serverName } : {}),
    ...certificateOf(socket),
  };
}

function certificateOf(socket: TLSSocket): Omit<TlsIdentity, "serverName"> {
  const certificate = socket.getPeerCertificate();
  // Node types it as always there; a client without certificate has an empty object, also where `authorized` is set
  // (OpenSSL calls a resumed TLS 1.3 session without certificate verified).
  const subject: unknown = Reflect.get(certificate, "subject");
  if (typeof subject !== "object" || subject === null) {
    return {};
  }
  if (!socket.authorized) {
    return { certificateProblem: String(socket.authorizationError) };
  }
  const commonNames = all(Reflect.get(subject, "CN"));
  if (commonNames.length > 1) {
    return { certificateProblem: "it has several common names" };
  }
  return {
    clientCertificate: {
      commonName: commonNames[0] ?? "",
      organizations: all(Reflect.get(subject, "O")),
      notAfterMs: Date.parse(certificate.valid_to),
    },
  };
}

/** Subject fields are strings, or arrays where they occur more than once. */
function all(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((entry) => typeof entry === "string");
}
