import { join } from "node:path";
import type { Ports } from "./local-places.ts";

/** Programs of a local system, in the order in which they start. */
export const PROGRAM_NAMES = ["kubernetes", "ec2", "operator", "router"] as const;

/** One of {@link PROGRAM_NAMES}. */
export type ProgramName = (typeof PROGRAM_NAMES)[number];

/** What the arguments of a local system's programs are made of. */
export interface ProgramPlaces {
  readonly ports: Ports;
  /** Path of a file or folder in the state folder. */
  readonly file: (name: string) => string;
  /** Folder of the repository. */
  readonly root: string;
  /** "namespace/name" of the satellite of requests that name none, as BuildKit's clients send them. */
  readonly defaultSatellite?: string;
  /** Folder of the router's certificate, where it asks who calls; everybody is let in when absent. */
  readonly tlsFolder?: string;
}

/** Arguments of the `satellites` command that runs one program of a local system. */
export function programArguments(
  name: ProgramName,
  { ports, file, root, defaultSatellite, tlsFolder }: ProgramPlaces,
): string[] {
  switch (name) {
    case "kubernetes":
      return command("local-kubernetes", {
        "state-dir": file("kubernetes"),
        port: String(ports.kubernetes),
        crds: join(root, "crds"),
        users: file("users.json"),
      });
    case "ec2":
      return command("local-ec2", {
        "state-dir": file("ec2"),
        port: String(ports.ec2),
        setup: file("ec2-setup.json"),
      });
    case "operator":
      return command("operator", {
        kubeconfig: file("operator.kubeconfig"),
        namespace: "default",
        identity: "local",
        "health-address": onLoopback(ports.operatorHealth),
        "page-address": onLoopback(ports.page),
        "ec2-endpoint": `http://${onLoopback(ports.ec2)}`,
        timing: "local",
        "list-period-seconds": "5",
      });
    case "router":
      return [
        ...command("router", {
          kubeconfig: file("router.kubeconfig"),
          listen: onLoopback(ports.router),
          "health-address": onLoopback(ports.routerHealth),
          "router-id": "router-0",
          domain: "satellites.local",
          "default-namespace": "default",
          "grace-seconds": "5",
          ...(defaultSatellite === undefined ? {} : { "default-satellite": defaultSatellite }),
          ...(tlsFolder === undefined
            ? {}
            : { "tls-cert": join(tlsFolder, "server.pem"), "tls-key": join(tlsFolder, "server-key.pem") }),
        }),
        // Whoever is on this machine may use its satellites.
        ...(tlsFolder === undefined ? ["--anonymous"] : []),
      ];
  }
}

/** "127.0.0.1:port". */
export function onLoopback(port: number): string {
  return `127.0.0.1:${port}`;
}

function command(name: string, options: Readonly<Record<string, string>>): string[] {
  return [name, ...Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])];
}
