/** Addresses of a cluster, all in network namespaces of its own. */

/** A node: where it is, and which addresses its pods get. */
export interface NodePlace {
  readonly name: string;
  readonly address: string;
  readonly podNetwork: string;
  /** Availability zone, by which pods are spread. */
  readonly zone: string;
}

/** Here are also the control plane, the tests, and what those serve to pods: EC2's endpoint and virtual VMs. */
export const FIRST_NODE: NodePlace = {
  name: "node-1",
  address: "10.40.0.1",
  podNetwork: "10.244.0.0/24",
  zone: "a",
};
export const SECOND_NODE: NodePlace = {
  name: "node-2",
  address: "10.40.0.3",
  podNetwork: "10.244.1.0/24",
  zone: "b",
};
export const NODE_PLACES: readonly NodePlace[] = [FIRST_NODE, SECOND_NODE];

/** Nobody has it. But the kubelet takes its node's address from the default route. */
export const NOBODYS_ADDRESS = "10.40.0.2";
/** Blocks of the addresses of virtual VMs, one for each zone. All of them are the first node's own. */
export const VM_SUBNETS = ["10.41.0.0/24", "10.41.1.0/24"] as const;
export const VM_NETWORK = "10.41.0.0/16";
/** Of all nodes' pods. */
export const POD_NETWORK = "10.244.0.0/16";
export const SERVICE_NETWORK = "10.96.0.0/16";
/** The first address of the Services' network is the API server's, by Kubernetes' own rule. */
export const API_SERVICE_ADDRESS = "10.96.0.1";
export const DNS_ADDRESS = "10.96.0.10";
export const CLUSTER_DOMAIN = "cluster.local";
