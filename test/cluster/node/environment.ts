import type { HypervisorSetup } from "../../../src/commands/local-ec2.ts";

/** What the nodes are given by the process outside of their namespaces. */
export interface NodeEnvironment {
  /** Folder for all that they write. */
  readonly directory: string;
  /** Folder with the archives of their images, and what those were made of. */
  readonly images: string;
  /** Holds a control group for each node, under which its pods get theirs. */
  readonly cgroupRoot: string;
  /** Debian's programs: paths by name. */
  readonly programs: Readonly<Record<string, string>>;
  /** QEMU and the image of its guests. */
  readonly hypervisor: HypervisorSetup;
}

const VARIABLE = "SATELLITES_TEST_NODE";

/** The environment with which a process inside of the namespaces learns it. */
export function setNodeEnvironment(environment: NodeJS.ProcessEnv, node: NodeEnvironment): NodeJS.ProcessEnv {
  return { ...environment, [VARIABLE]: JSON.stringify(node) };
}

/** Whether this process is inside of such namespaces. */
export const isInNode = (environment: NodeJS.ProcessEnv): boolean => environment[VARIABLE] !== undefined;

/** @throws Error outside of such namespaces: what follows would change the machine's own network and mounts */
export function getNodeEnvironment(environment: NodeJS.ProcessEnv): NodeEnvironment {
  const text = environment[VARIABLE];
  if (text === undefined) {
    throw new Error('these tests run inside of a node: "node test/cluster/run.ts"');
  }
  return JSON.parse(text) as NodeEnvironment;
}
