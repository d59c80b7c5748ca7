import { request } from "node:http";

import { SatelliteError } from "../base/errors.ts";

const METADATA_URL = "http://169.254.169.254";
const TIMEOUT_MS = 5000;

/**
 * ID of this instance, from the instance metadata service, version 2 (EC2 user guide, "Use the Instance
 * Metadata Service").
 *
 * @throws SatelliteError `MetadataUnavailable`
 */
export async function readInstanceID(url: string = METADATA_URL): Promise<string> {
  const token = await call(`${url}/latest/api/token`, "PUT", {
    "x-aws-ec2-metadata-token-ttl-seconds": "60",
  });
  return call(`${url}/latest/meta-data/instance-id`, "GET", { "x-aws-ec2-metadata-token": token });
}

function call(url: string, method: string, headers: Readonly<Record<string, string>>): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(new SatelliteError("MetadataUnavailable", `${method} ${url} ${why}`, { cause }));
    const sent = request(url, { method, headers, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", (error) => fail("broke off", error));
      response.once("end", () => {
        if (response.statusCode === 200) {
          resolve(Buffer.concat(chunks).toString("utf8").trim());
        } else {
          fail(`was answered with HTTP ${response.statusCode ?? 0}`);
        }
      });
    });
    sent.once("timeout", () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    sent.once("error", (error) => fail("failed", error));
    sent.end();
  });
}
