import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { X509Certificate } from "node:crypto";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { KubeObject } from "../../kube/objects.ts";
import { SECRET } from "../../kube/resources.ts";
import { connect, type Connection, type ConnectFlags } from "../connect.ts";
import type { CliContext } from "../context.ts";
import { findRouterPods, findRouterService } from "../proxy/router-pods.ts";
import type { RouterFlags } from "../router-flags.ts";
import { shortDuration } from "../style.ts";
import { runBuildx } from "./run-buildx.ts";

/** A core/v1 Secret. */
interface Secret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

type CertifiedFlags = ConnectFlags & RouterFlags & { readonly certSecret: string; readonly use?: boolean };

/**
 * Makes a builder that reaches its routers by itself, with the client certificate of a Secret such as cert-manager's
 * `kubernetes.io/tls`. The files stay, as buildx reads them for each build; a second time brings a renewed certificate.
 *
 * @throws SatelliteError `NoCertificate`, `InvalidOption`, `NoRouter`, `BuildxFailed`; KubeError
 */
export async function certified(
  builder: string,
  names: readonly string[],
  flags: CertifiedFlags,
  context: CliContext,
): Promise<void> {
  if (flags.router !== undefined && names.length > 1) {
    throw new SatelliteError(
      "InvalidOption",
      "--router and its certificate's name stand for one satellite; leave --router out to have each found by its own name",
    );
  }
  const connection = connect(flags, context);
  try {
    const { cert, key, endsAt } = await readCertificate(flags.certSecret, connection, context.clock.now());
    const nodes: Node[] = [];
    for (const name of names) {
      nodes.push(await nodeOf(name, flags, connection));
    }
    const folder = folderOf(builder, context);
    if (existsSync(folder)) {
      await removeBuilder(builder, context);
    }
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const write = (file: string, content: string): string => {
      writeFileSync(join(folder, file), content, { mode: 0o600 });
      return join(folder, file);
    };
    const files = [
      `cacert=${write("router-ca.crt", authorities(flags.ca))}`,
      `cert=${write("tls.crt", cert)}`,
      `key=${write("tls.key", key)}`,
    ];
    for (const [index, { name, address, serverName }] of nodes.entries()) {
      const options = `--driver-opt=${[...files, `servername=${serverName}`].join(",")}`;
      const append = index > 0 ? ["--append"] : [];
      await runBuildx(
        [
          "create",
          `--name=${builder}`,
          `--node=${name}`,
          "--driver=remote",
          options,
          ...append,
          `tcp://${address}`,
        ],
        context,
      );
      context.err.write(`builder ${builder}: node ${name} at tcp://${address} as ${serverName}\n`);
    }
    if (flags.use === true) {
      await runBuildx(["use", builder], context);
    }
    context.out.write(`docker buildx build --builder ${builder} .\n`);
    const left = shortDuration((endsAt.getTime() - context.clock.now().getTime()) / 1000);
    context.err.write(
      `its certificate lies in ${folder} and ends in ${left}: the same command brings the next one, and ` +
        `kubectl satellite buildx --rm ${builder} removes both\n`,
    );
  } finally {
    await connection.close();
  }
}

/** Removes a builder and its certificate. @throws SatelliteError `NoCertificate` for one that was not made so */
export async function removeBuilder(builder: string, context: CliContext): Promise<void> {
  const folder = folderOf(builder, context);
  if (!existsSync(folder)) {
    throw new SatelliteError(
      "NoCertificate",
      `no builder ${builder} was made with --cert-secret; docker buildx rm ${builder} removes any other`,
    );
  }
  try {
    await runBuildx(["rm", "--force", builder], context);
  } catch (error) {
    // Somebody else removed it before.
    if (!/no builder .* found/i.test(toError(error).message)) {
      throw error;
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

interface Node {
  readonly name: string;
  readonly address: string;
  readonly serverName: string;
}

async function nodeOf(name: string, flags: CertifiedFlags, connection: Connection): Promise<Node> {
  const { namespace } = connection;
  if (flags.router !== undefined) {
    const serverName = flags.serverName ?? flags.router.replace(/:\d+$/, "");
    return { name, address: flags.router, serverName };
  }
  const [pod] = await findRouterPods(connection, namespace, flags.routerNamespace);
  const domain = pod?.settings.domain;
  if (pod === undefined || domain === undefined) {
    throw new SatelliteError(
      "NoRouter",
      "the routers have no domain (router.domain of the chart), so nothing says where buildx reaches them; name it: " +
        `--router ${name}--${namespace}.sat.example.com:8372`,
    );
  }
  const { port } = await findRouterService(connection, pod.namespace);
  // One label below the domain, so that one wildcard certificate does.
  const serverName = `${name}--${namespace}.${domain}`;
  return { name, address: `${serverName}:${port}`, serverName };
}

async function readCertificate(
  secret: string,
  { client, namespace }: Connection,
  now: Date,
): Promise<{ readonly cert: string; readonly key: string; readonly endsAt: Date }> {
  const { data } = await client.get<Secret>(SECRET, { namespace, name: secret });
  const text = (key: string): string => Buffer.from(data?.[key] ?? "", "base64").toString();
  const [cert, key] = [text("tls.crt"), text("tls.key")];
  if (cert === "" || key === "") {
    throw new SatelliteError(
      "NoCertificate",
      `Secret ${namespace}/${secret} holds no tls.crt and tls.key (yet): kubectl describe certificate -n ${namespace}`,
    );
  }
  const endsAt = new X509Certificate(cert).validToDate;
  if (endsAt < now) {
    throw new SatelliteError(
      "NoCertificate",
      `the certificate in Secret ${namespace}/${secret} ended ${endsAt.toISOString()}; see why it is not renewed: ` +
        `kubectl describe certificate -n ${namespace}`,
    );
  }
  return { cert, key, endsAt };
}

/** The authorities of routers' certificates: those named, or the public ones, without which buildx makes no TLS. */
function authorities(file: string | undefined): string {
  try {
    return file === undefined ? getCACertificates("default").join("\n") : readFileSync(file, "utf8");
  } catch (error) {
    throw new SatelliteError("InvalidOption", `--ca cannot be read: ${toError(error).message}`, {
      cause: error,
    });
  }
}

function folderOf(builder: string, { environment }: CliContext): string {
  if (!/^[a-zA-Z0-9][\w.-]*$/.test(builder)) {
    throw new SatelliteError("InvalidOption", `${builder} is no name of a builder`);
  }
  const config = environment["XDG_CONFIG_HOME"] ?? join(environment["HOME"] ?? homedir(), ".config");
  return join(config, "satellites", "buildx", builder);
}
