import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";

import type { Clock, Timer } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import type { Logger } from "../telemetry/logger.ts";

/** Certificates of a TLS listener; see node:tls. `ca` is what client certificates are checked against. */
export type TlsMaterial = Pick<SecureContextOptions, "key" | "cert" | "ca" | "minVersion">;

/** How a listener serves TLS. */
export interface TlsOptions extends TlsMaterial {
  /** Asks clients for a certificate. One that `ca` did not sign is no identity, but ends no handshake either. */
  readonly requestCertificate?: boolean;
}

/** PEM files of a listener. */
export interface TlsFiles {
  /** The certificate, followed by those between it and a root. */
  readonly cert: string;
  readonly key: string;
  /** Authorities of client certificates. */
  readonly clientCa?: string;
}

/** Options of {@link watchTlsFiles}. */
export interface TlsWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds between looks. Default 10,000. */
  readonly intervalMs?: number;
  /** Called with what the files hold after they changed, if it can be served. */
  readonly onChange: (material: TlsMaterial) => void;
}

/** Certificates that follow their files. */
export interface WatchedTlsFiles {
  /** What the files held at first. */
  readonly material: TlsMaterial;
  /** Ends the watching. */
  stop(): void;
}

const DEFAULT_INTERVAL_MS = 10_000;

/**
 * Reads certificates and looks again from time to time: cert-manager renews them, and kubelet replaces the files of a
 * Secret by exchanging a link above them, which file system events of the files do not tell. Files that do not fit
 * together, as in the midst of a replacement, change nothing.
 *
 * @throws SatelliteError `TlsFilesUnreadable`, `TlsFilesInvalid` when they cannot be served at first
 */
export async function watchTlsFiles(files: TlsFiles, options: TlsWatchOptions): Promise<WatchedTlsFiles> {
  const { clock, logger, onChange, intervalMs = DEFAULT_INTERVAL_MS } = options;
  const first = await load(files);
  let current = JSON.stringify(first);
  let complaint = "";
  let timer: Timer | undefined;
  let isStopped = false;

  async function look(): Promise<void> {
    try {
      const material = await load(files);
      const text = JSON.stringify(material);
      complaint = "";
      if (text !== current && !isStopped) {
        current = text;
        onChange(material);
        logger.info("new certificates are served from now on", { cert: files.cert });
      }
    } catch (thrown) {
      const error = toError(thrown);
      if (error.message !== complaint) {
        complaint = error.message;
        logger.error("the certificate files changed but cannot be served; the old ones are kept", { error });
      }
    }
    schedule();
  }

  function schedule(): void {
    if (!isStopped) {
      timer = clock.setTimer(intervalMs, () => void look());
    }
  }

  schedule();
  return {
    material: first,
    stop() {
      isStopped = true;
      timer?.cancel();
    },
  };
}

async function load({ cert, key, clientCa }: TlsFiles): Promise<TlsMaterial> {
  const material = {
    cert: await read(cert),
    key: await read(key),
    ...(clientCa === undefined ? {} : { ca: await read(clientCa) }),
  };
  try {
    createSecureContext(material);
  } catch (cause) {
    const names = [cert, key, ...(clientCa === undefined ? [] : [clientCa])].join(", ");
    throw new SatelliteError(
      "TlsFilesInvalid",
      `${names} cannot be served: ${toError(cause).message}; they must be PEM, and the key must be the certificate's`,
      { cause },
    );
  }
  if (clientCa !== undefined && !material.ca?.includes("-----BEGIN CERTIFICATE-----")) {
    throw new SatelliteError("TlsFilesInvalid", `${clientCa} holds no PEM certificate of an authority`);
  }
  return material;
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new SatelliteError("TlsFilesUnreadable", `cannot read ${path}: ${toError(cause).message}`, {
      cause,
    });
  }
}
