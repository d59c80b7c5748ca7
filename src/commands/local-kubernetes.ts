import { globSync } from "node:fs";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { untilAborted } from "../base/abort.ts";
import { startKubernetesServer } from "../local/kubernetes/server.ts";
import type { TokenUser } from "../local/kubernetes/authentication.ts";
import type { ProcessContext } from "./process-context.ts";

/** Options of `satellites local-kubernetes`. */
export interface LocalKubernetesOptions {
  readonly stateDir: string;
  readonly port: number;
  /** Folder of the CustomResourceDefinitions to serve. */
  readonly crds: string;
  /** JSON file with the users and their tokens. */
  readonly users: string;
}

/** Runs the embedded Kubernetes API server until it is stopped. */
export async function runLocalKubernetes(
  options: LocalKubernetesOptions,
  context: ProcessContext,
): Promise<void> {
  const { clock, random, logger, stop } = context;
  const server = await startKubernetesServer({
    stateDir: options.stateDir,
    port: options.port,
    crdPaths: globSync(join(options.crds, "*.yaml")).toSorted(),
    users: JSON.parse(await readFile(options.users, "utf8")) as TokenUser[],
    clock,
    random,
    logger,
  });
  logger.info("The embedded Kubernetes API server serves", { url: server.url });
  await untilAborted(stop);
  await server.close();
}
