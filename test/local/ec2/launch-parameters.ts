import type { LaunchParameters } from "../../../src/local/ec2/launch-check.ts";
import { GROUP, IMAGE, SUBNET_A } from "./endpoint-over-http.ts";

/** A launch that the model accepts. */
export const LAUNCH: LaunchParameters = {
  image: IMAGE,
  type: "m7i.large",
  subnet: SUBNET_A,
  securityGroups: [GROUP],
  userData: "",
  hibernationConfigured: true,
  metadataOptions: { httpTokens: "required", hopLimit: 1 },
  shutdownBehavior: "stop",
  disableApiTermination: false,
  disableApiStop: false,
  tags: {},
  requestHash: "hash",
  volume: { deviceName: "/dev/xvda", sizeGiB: 20, type: "gp3", encrypted: true, deleteOnTermination: true },
  volumeTags: {},
};
