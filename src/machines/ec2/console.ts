import { GetConsoleOutputCommand } from "@aws-sdk/client-ec2";
import type { GuestWords } from "../cloud.ts";
import { CloudError } from "../errors.ts";
import { lastWordsOn } from "../guest-words.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Ec2Calls } from "./ec2-calls.ts";

/**
 * What the guest of an instance has said last on its serial console. EC2 has the newest 64 KB of it (EC2 API reference,
 * "GetConsoleOutput") as it is now for instances built on Nitro; for others as it was a while after the last start.
 *
 * @throws CloudError
 */
export async function readLastWords(
  clients: AwsClients,
  calls: Ec2Calls,
  id: string,
): Promise<GuestWords | undefined> {
  const read = async (Latest: boolean): Promise<GuestWords | undefined> => {
    const command = new GetConsoleOutputCommand({ InstanceId: id, ...(Latest ? { Latest } : {}) });
    const { Output = "" } = await calls.call({
      action: "GetConsoleOutput",
      bucket: "Other",
      kind: "read",
      priority: "housekeeping",
      send: (abortSignal) => clients.read.send(command, { abortSignal }),
    });
    return lastWordsOn(Buffer.from(Output, "base64").toString("utf8"));
  };
  try {
    return await read(true);
  } catch (error) {
    if (error instanceof CloudError && error.code === "UnsupportedOperation") {
      return read(false);
    }
    throw error;
  }
}
