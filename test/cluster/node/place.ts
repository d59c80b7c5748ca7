/** Addresses of a node, all in a network namespace of its own. */

/** The node itself: its API server, and what tests serve to pods. */
export const NODE_ADDRESS = "10.40.0.1";
export const NODE_NAME = "node-1";
/** Blocks of the addresses of virtual VMs, one for each zone. All of them are the node's own. */
export const VM_SUBNETS = ["10.41.0.0/24", "10.41.1.0/24"] as const;
export const VM_NETWORK = "10.41.0.0/16";
export const POD_NETWORK = "10.244.0.0/24";
export const SERVICE_NETWORK = "10.96.0.0/16";
/** The first address of the Services' network is the API server's, by Kubernetes' own rule. */
export const API_SERVICE_ADDRESS = "10.96.0.1";
export const DNS_ADDRESS = "10.96.0.10";
export const CLUSTER_DOMAIN = "cluster.local";
