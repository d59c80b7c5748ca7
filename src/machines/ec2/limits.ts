import type { ActionLimit } from "./token-bucket.ts";

/** Actions that have a bucket of their own. */
export type LimitedAction =
  | "RunInstances"
  | "StartInstances"
  | "StopInstances"
  | "TerminateInstances"
  | "CreateTags"
  | "ModifyInstanceAttribute"
  | "RebootInstances"
  | "CreateVolume"
  | "AttachVolume"
  | "DetachVolume"
  | "DeleteVolume"
  | "DescribeVolumes"
  | "DescribeInstances"
  | "DescribeInstancesFiltered"
  | "Other";

/**
 * EC2's limits per account and region (EC2 developer guide, "Request throttling for the Amazon EC2 API"): of requests, and
 * of instances that requests name. `Other` is the bucket of all other reads. The stand-in for EC2 has the limits a second time
 * (src/local/ec2/request-buckets.ts): what the client side is tested against must not share its mistakes.
 */
export const DEFAULT_LIMITS: Readonly<Record<LimitedAction, ActionLimit>> = {
  RunInstances: {
    requests: { burst: 5, refillPerSecond: 2 },
    resources: { burst: 1000, refillPerSecond: 2 },
  },
  StartInstances: {
    requests: { burst: 5, refillPerSecond: 2 },
    resources: { burst: 1000, refillPerSecond: 2 },
  },
  StopInstances: {
    requests: { burst: 50, refillPerSecond: 5 },
    resources: { burst: 1000, refillPerSecond: 20 },
  },
  TerminateInstances: {
    requests: { burst: 100, refillPerSecond: 5 },
    resources: { burst: 1000, refillPerSecond: 20 },
  },
  CreateTags: { requests: { burst: 100, refillPerSecond: 10 } },
  ModifyInstanceAttribute: { requests: { burst: 50, refillPerSecond: 5 } },
  RebootInstances: { requests: { burst: 50, refillPerSecond: 5 } },
  CreateVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  AttachVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  DetachVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  DeleteVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  DescribeVolumes: { requests: { burst: 100, refillPerSecond: 20 } },
  DescribeInstances: { requests: { burst: 50, refillPerSecond: 10 } },
  DescribeInstancesFiltered: { requests: { burst: 100, refillPerSecond: 20 } },
  Other: { requests: { burst: 100, refillPerSecond: 20 } },
};
