import type { CloudWords } from "../cloud.ts";

/** What an instance's ID looks like: 8 hexadecimal digits, or 17 (EC2 user guide, "Resource IDs"). */
const INSTANCE_ID = /^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$/;

/** What messages call EC2 and what it has. */
export const EC2_WORDS: CloudWords = {
  name: "EC2",
  support: "AWS",
  firewall: "the security group",
  addressless: {
    meaning: "as in a subnet that has IPv6 alone",
    advice: "Choose subnets with IPv4 in the class",
  },
};

/** Whether a text may be the ID of an instance. */
export function isInstanceID(text: string): boolean {
  return INSTANCE_ID.test(text);
}
