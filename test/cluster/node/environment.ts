/** What a node is given by the process outside of its namespaces. */
export interface NodeEnvironment {
  /** Folder for all that it writes. */
  readonly directory: string;
  /** Archives of its images. */
  readonly archives: readonly string[];
  /** Under which its pods get their control groups. */
  readonly cgroupRoot: string;
  /** Debian's programs: paths by name. */
  readonly programs: Readonly<Record<string, string>>;
}

const VARIABLE = "SATELLITES_TEST_NODE";

/** The environment with which a process inside of the namespaces learns it. */
export function setNodeEnvironment(environment: NodeJS.ProcessEnv, node: NodeEnvironment): NodeJS.ProcessEnv {
  return { ...environment, [VARIABLE]: JSON.stringify(node) };
}

/** @throws Error outside of such namespaces: what follows would change the machine's own network and mounts */
export function getNodeEnvironment(environment: NodeJS.ProcessEnv): NodeEnvironment {
  const text = environment[VARIABLE];
  if (text === undefined) {
    throw new Error('these tests run inside of a node: "node test/cluster/run.ts"');
  }
  return JSON.parse(text) as NodeEnvironment;
}
