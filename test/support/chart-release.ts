import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiAnswer, ApiClient } from "./api-client.ts";
import { CHART, helm, type HelmOutcome, helmSucceeds, REQUIRED_VALUES, type Values } from "./helm.ts";
import { type KubeApiServer, startKubeApiServer } from "./kube-apiserver.ts";
import { startProcess, type TestProcess } from "./process.ts";
import { type Stop, stopAll } from "./stops.ts";

export const RELEASE = "sat";
export const RELEASE_NAMESPACE = "sat-system";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

interface Container {
  readonly name: string;
  readonly args: readonly string[];
}

interface PodSpec {
  readonly serviceAccountName: string;
  readonly containers: readonly Container[];
}

/** What a kubelet gives a container to run with. */
export interface Launch {
  /** The container's arguments, with the pod's name filled in. */
  readonly args: readonly string[];
  /** Token of the pod's account. */
  readonly token: string;
  /** File with the same token, to reach the API server by. */
  readonly kubeconfig: string;
  /** Credentials for the EC2 endpoint. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A program with its arguments and its whole environment. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/** Runs a container's program from the sources. */
function fromSources({ args, kubeconfig, environment }: Launch): Command {
  return {
    program: process.execPath,
    args: [MAIN, ...args],
    environment: { ...environment, PATH: process.env["PATH"], KUBECONFIG: kubeconfig },
  };
}

/** A pod of the release: an object at the API server, and its containers' programs as processes. */
export interface RunningPod {
  /** Client with the pod's own token. */
  readonly client: ApiClient;
  readonly programs: ReadonlyMap<string, TestProcess>;
}

/**
 * The chart in a real API server, installed by helm. No kubelet runs: {@link startPod} takes its place, as far as
 * it makes the pod, gets a token that is bound to it, and starts the programs with the chart's own arguments.
 */
export class ChartRelease {
  readonly server: KubeApiServer;
  readonly #directory: string;
  readonly #undo: Stop[] = [];

  private constructor(server: KubeApiServer) {
    this.server = server;
    this.#directory = mkdtempSync(join(tmpdir(), "satellites-release-"));
  }

  /** Starts the API server, with a namespace for the release that takes restricted pods only. Installs nothing. */
  static async start(): Promise<ChartRelease> {
    const release = new ChartRelease(await startKubeApiServer());
    await release.created("/api/v1/namespaces", {
      metadata: {
        name: RELEASE_NAMESPACE,
        labels: { "pod-security.kubernetes.io/enforce": "restricted" },
      },
    });
    return release;
  }

  get admin(): ApiClient {
    return this.server.admin;
  }

  /** Runs helm as the cluster's administrator in the release's namespace. */
  helm(args: readonly string[], values?: Values): Promise<HelmOutcome> {
    return helm([...args, "--namespace", RELEASE_NAMESPACE], this.#options(values));
  }

  /** `helm upgrade --install` of the chart, or of a copy of it. */
  async apply(values: Values = {}, chart = CHART): Promise<string> {
    const args = ["upgrade", "--install", RELEASE, chart, "--namespace", RELEASE_NAMESPACE];
    return helmSucceeds(args, this.#options({ ...REQUIRED_VALUES, ...values }));
  }

  #options(values: Values | undefined): { kubeconfig: string; values?: Values } {
    return { kubeconfig: this.server.adminKubeconfig, ...(values === undefined ? {} : { values }) };
  }

  /** Creates an object as administrator. @throws Error with the API server's answer */
  async created(path: string, object: object): Promise<ApiAnswer> {
    return this.#expectStatus(201, "POST", path, await this.admin.request("POST", path, object));
  }

  async #expectStatus(status: number, method: string, path: string, answer: ApiAnswer): Promise<ApiAnswer> {
    if (answer.status !== status) {
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }

  /** Creates a pod from a Deployment's template. @throws Error when the API server does not admit it */
  async createPod(deployment: string, name: string): Promise<{ uid: string; spec: PodSpec }> {
    const path = `/apis/apps/v1/namespaces/${RELEASE_NAMESPACE}/deployments/${deployment}`;
    const { body } = await this.#expectStatus(200, "GET", path, await this.admin.request("GET", path));
    const { template } = (body as { spec: { template: { metadata: object; spec: PodSpec } } }).spec;
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...template.metadata, name },
      spec: template.spec,
    };
    const made = await this.created(`/api/v1/namespaces/${RELEASE_NAMESPACE}/pods`, pod);
    return { uid: (made.body as { metadata: { uid: string } }).metadata.uid, spec: template.spec };
  }

  /**
   * Makes a pod and starts its containers' programs as the kubelet would, with a token bound to the pod.
   *
   * @param command what runs for a container; the sources by default
   */
  async startPod(
    deployment: string,
    name: string,
    command: (launch: Launch) => Command = fromSources,
  ): Promise<RunningPod> {
    const { uid, spec } = await this.createPod(deployment, name);
    const path = `/api/v1/namespaces/${RELEASE_NAMESPACE}/serviceaccounts/${spec.serviceAccountName}/token`;
    const answer = await this.created(path, {
      spec: {
        audiences: [],
        expirationSeconds: 3600,
        boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
      },
    });
    const { token } = (answer.body as { status: { token: string } }).status;
    const kubeconfig = this.server.writeKubeconfig(name, { token });
    const client = this.server.clientWithToken(token);
    this.#undo.push(() => client.close());
    const programs = new Map<string, TestProcess>();
    for (const { name: container, args } of spec.containers) {
      const { program, ...rest } = command({
        args: args.map((argument) => argument.replaceAll("$(POD_NAME)", name)),
        token,
        kubeconfig,
        environment: { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" },
      });
      const log = join(this.#directory, `${name}-${container}.log`);
      const started = await startProcess(container, program, rest.args, log, rest.environment);
      this.#undo.push(() => started.stop());
      programs.set(container, started);
    }
    return { client, programs };
  }

  /** Ends everything and removes every file. */
  async stop(): Promise<void> {
    await stopAll(this.#undo);
    await this.server.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
