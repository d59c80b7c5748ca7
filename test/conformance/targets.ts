import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startKubernetesServer } from "../../src/local/kubernetes/server.ts";
import { ApiClient } from "../support/api-client.ts";
import { installCrds, waitForCustomResources } from "../support/crds.ts";
import { startKubeApiServer } from "../support/kube-apiserver.ts";
import type { ScenarioServer } from "./scenario.ts";

/** A server that the suite runs against. */
export interface Target extends ScenarioServer {
  readonly title: string;
  readonly url: string;
  readonly caPem: string;
  stop(): Promise<void>;
}

const CRD_FOLDER = join(import.meta.dirname, "..", "..", "crds");
/** Good only for a server that this process starts, on loopback, and for as long as it runs. */
const TEST_TOKEN = "conformance";

/** kube-apiserver with etcd. */
export async function startReal(): Promise<Target> {
  const server = await startKubeApiServer();
  try {
    await installCrds(server.admin);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    title: "kube-apiserver",
    url: server.url,
    caPem: server.caPem,
    admin: server.admin,
    async forgetHistory() {
      await server.compact();
      // Its watch cache forgets only when it starts anew.
      await server.restart();
      await waitForCustomResources(server.admin);
    },
    stop: () => server.stop(),
  };
}

/** The embedded server of `satellites local`. */
export async function startEmbedded(): Promise<Target> {
  const stateDir = mkdtempSync(join(tmpdir(), "satellites-conformance-"));
  const server = await startKubernetesServer({
    stateDir,
    crdPaths: readdirSync(CRD_FOLDER).map((file) => join(CRD_FOLDER, file)),
    users: [{ name: "admin", groups: ["system:masters"], token: TEST_TOKEN }],
  });
  const admin = new ApiClient(server.url, server.caPem, { token: TEST_TOKEN });
  return {
    title: "embedded",
    url: server.url,
    caPem: server.caPem,
    admin,
    forgetHistory: () => Promise.resolve(server.api.store.compact()),
    async stop() {
      await admin.close();
      await server.close();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
