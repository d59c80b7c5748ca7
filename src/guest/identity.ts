import { generateKeyPairSync } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

import { SatelliteError } from "../base/errors.ts";
import { selfSigned } from "./certificate.ts";

/** What a VM serves TLS with. */
export interface GuestIdentity {
  readonly keyPem: string;
  readonly certificatePem: string;
}

interface IdentityFile extends GuestIdentity {
  /** The instance that the key was made on. */
  readonly instanceID: string;
}

const FILE = "identity.json";

/**
 * The key that the VM is known by (docs/decisions/0030), from `directory`. It is made at the first boot, and again
 * when the instance is not the one that made it: instances that start from an image of this disk must not share
 * its key.
 *
 * @throws SatelliteError `IdentityUnreadable` when the file is damaged; a new key would make it another VM to its clients
 */
export function guestIdentity(directory: string, instanceID: string): GuestIdentity {
  const kept = readIdentity(join(directory, FILE));
  if (kept?.instanceID === instanceID) {
    return kept;
  }
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const made: IdentityFile = {
    instanceID,
    keyPem: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    certificatePem: selfSigned(key, instanceID),
  };
  writeDurably(directory, made);
  return made;
}

function readIdentity(file: string): IdentityFile | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && Reflect.get(error, "code") === "ENOENT") {
      return undefined;
    }
    throw new SatelliteError("IdentityUnreadable", `cannot read ${file}`, { cause: error });
  }
  try {
    return JSON.parse(text) as IdentityFile;
  } catch (error) {
    const message = `${file} is damaged; restore it, or remove it and the VM becomes another one to its satellite`;
    throw new SatelliteError("IdentityUnreadable", message, { cause: error });
  }
}

/** Writes the key to disk before it is used: a VM that loses power must not come back with another key. */
function writeDurably(directory: string, identity: IdentityFile): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, FILE);
  const descriptor = openSync(`${file}.new`, "w", 0o600);
  writeSync(descriptor, JSON.stringify(identity));
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${file}.new`, file);
  const folder = openSync(directory, "r");
  fsyncSync(folder);
  closeSync(folder);
}
