import { resolve } from "node:path";
import { untilAborted } from "../base/abort.ts";
import type { ProcessContext } from "./process-context.ts";
import { writeLocalCommands } from "./local-commands.ts";
import { LocalSystem } from "./local-system.ts";

/** Options of `satellites local`. */
export interface LocalCommandOptions {
  readonly stateDir: string;
  readonly cacheDir: string;
  readonly routerPort: number;
  readonly install: boolean;
  readonly hypervisor: "qemu" | "virtual";
  readonly buildkitArchive?: string;
  /** The router asks who calls. */
  readonly accessControl?: boolean;
}

/** Milliseconds that each change of state of a virtual VM takes. */
const VIRTUAL_DELAY_MS = 300;

/** Runs the product on this machine until it is stopped, and says how to try it. */
export async function runLocal(options: LocalCommandOptions, context: ProcessContext): Promise<void> {
  const system = await LocalSystem.start(
    {
      stateDir: options.stateDir,
      cacheDir: options.cacheDir,
      routerPort: options.routerPort,
      mayInstall: options.install,
      ...(options.hypervisor === "virtual" ? { virtualVms: { delayMs: VIRTUAL_DELAY_MS } } : {}),
      ...(options.buildkitArchive === undefined ? {} : { buildkitArchive: resolve(options.buildkitArchive) }),
      accessControl: options.accessControl ?? false,
      progress: (line) => console.error(line),
    },
    context,
  );
  console.log(instructions(system, await writeLocalCommands(options.stateDir)));
  if (options.buildkitArchive !== undefined) {
    console.log(buildkitInstructions(system));
  }
  await untilAborted(context.stop);
  console.error("stopping; VMs that run go on running and are found again by the next `satellites local`");
  await system.stop();
}

function instructions(
  { kubeconfig, routerAddress, metricsUrls, credentials, pageUrl }: LocalSystem,
  commands: string,
): string {
  return `
Satellites runs on this machine. In another terminal:

  export KUBECONFIG=${kubeconfig}
  export PATH=${commands}:$PATH
  kubectl apply -f examples/local/satellite.yaml
  kubectl get satellites --watch
  satellites run ada -- uname -a
  satellites sleep ada
  satellites run ada -- uptime
  satellites inspect ada
  satellites rm ada

The second run wakes the satellite; the client does not notice more than a short delay. \`kubectl satellite\` has the same commands.
${
  credentials === undefined
    ? `Any gRPC client works: dial ${routerAddress} with the metadata "satellite-name: ada".`
    : `The router, ${routerAddress}, asks who calls, over TLS: its authority is ${credentials.ca}, and a token that it takes is in
${credentials.tokenFile}. A port for clients that know neither:\n\n  satellites proxy ada\n`
}
Watch it all in a browser: ${pageUrl}
Metrics: ${metricsUrls.operator} and ${metricsUrls.router}
Ctrl-C stops it; VMs that are awake go on running until their satellites are deleted.
`;
}

function buildkitInstructions({ routerAddress }: LocalSystem): string {
  return `
BuildKit, on stock Debian:

  kubectl apply -f examples/local/builder.yaml
  docker buildx create --name satellite --driver remote tcp://${routerAddress}
  docker buildx build --builder satellite --output type=local,dest=out .

Its VM reaches no network: begin Dockerfiles with FROM scratch.
`;
}
