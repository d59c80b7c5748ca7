import { SatelliteError } from "../base/errors.ts";

/** Reads "host:port". @throws SatelliteError `InvalidAddress` */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } {
  const groups = /^(?<host>\[[0-9a-fA-F:]+\]|[^:]+):(?<port>\d{1,5})$/.exec(text)?.groups;
  const port = Number(groups?.["port"]);
  if (groups === undefined || !(port <= 65_535)) {
    throw new SatelliteError(
      "InvalidAddress",
      `"${text}" is not an address; write host:port, for example 127.0.0.1:8080`,
    );
  }
  return { host: (groups["host"] ?? "").replace(/^\[|\]$/g, ""), port };
}
