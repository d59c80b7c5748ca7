import { eventually } from "../support/eventually.ts";
import type { Cluster } from "./cluster.ts";
import { chartVersion, REPOSITORY } from "./images.ts";
import { isReady, type Pod, RESTRICTED } from "./pod.ts";

const NAME = "prober";
/** How long nobody may answer before a port counts as closed, in milliseconds. */
const PATIENCE_MS = 3000;

/** Connects to each of the addresses in its arguments, and prints whether it could. */
const SCRIPT = `
  const ask = (address) => new Promise((resolve) => {
    const [host, port] = address.split(":");
    const socket = net.connect({ host, port, timeout: ${PATIENCE_MS} });
    const end = (answer) => () => { socket.destroy(); resolve(answer); };
    socket.once("connect", end("open")).once("timeout", end("closed")).once("error", end("closed"));
  });
  Promise.all(process.argv.slice(1).map(ask)).then((answers) => console.log(JSON.stringify(answers)));
`;

/** A pod from which connections are tried. */
export class Prober {
  readonly #cluster: Cluster;
  readonly #namespace: string;

  private constructor(cluster: Cluster, namespace: string) {
    this.#cluster = cluster;
    this.#namespace = namespace;
  }

  /** Starts one in a namespace that is there. It ends with the namespace. */
  static async start(cluster: Cluster, namespace: string): Promise<Prober> {
    const path = `/api/v1/namespaces/${namespace}/pods`;
    await cluster.create(path, {
      metadata: { name: NAME },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        securityContext: RESTRICTED,
        containers: [
          {
            name: NAME,
            image: `${REPOSITORY}:${chartVersion()}`,
            command: ["/usr/bin/node", "--eval", "setInterval(() => {}, 1e6)"],
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
          },
        ],
      },
    });
    await eventually(`the prober in ${namespace} is ready`, async () =>
      isReady(await cluster.get<Pod>(`${path}/${NAME}`)),
    );
    return new Prober(cluster, namespace);
  }

  /** Whether there is a way to all of the addresses ("host:port"), or to none. */
  async reaches(addresses: readonly string[]): Promise<"open" | "closed" | "some"> {
    const where = ["--namespace", this.#namespace, NAME];
    const args = ["exec", ...where, "--", "node", "--eval", SCRIPT, ...addresses];
    const { code, stdout, stderr } = await this.#cluster.kubectl(...args);
    if (code !== 0) {
      throw new Error(`the prober in ${this.#namespace} failed: ${stderr}`);
    }
    const answers = new Set(JSON.parse(stdout) as ("open" | "closed")[]);
    const [answer] = answers;
    return answers.size === 1 && answer !== undefined ? answer : "some";
  }
}
