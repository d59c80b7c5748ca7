import { untilAborted } from "../base/abort.ts";
import type { ConnectFlags } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { runBuildx } from "./buildx/run-buildx.ts";
import { openProxy, type OpenProxy } from "./proxy.ts";
import type { RouterFlags } from "./router-flags.ts";

/** Flags of `buildx`. */
export interface BuildxFlags extends RouterFlags {
  /** Name of the builder; the first satellite's when absent. */
  readonly builder?: string;
  /** Make it the one that docker buildx uses by default. */
  readonly use?: boolean;
  /** Secret with a client certificate, by which buildx reaches routers itself. */
  readonly certSecret?: string;
  /** Remove a builder that was made of a certificate, and the certificate. */
  readonly rm?: boolean;
}

/**
 * Makes one buildx builder of one or several satellites, each a node: behind a proxy of its own until this command ends, or
 * by a client certificate, and then for good.
 *
 * @throws SatelliteError `BuildxFailed` with buildx's own words
 */
export async function buildx(
  names: readonly string[],
  flags: ConnectFlags & BuildxFlags,
  context: CliContext,
): Promise<void> {
  const builder = flags.builder ?? names[0] ?? "";
  if (flags.rm === true) {
    await (await import("./buildx/certificates.ts")).removeBuilder(builder, context);
  } else if (flags.certSecret === undefined) {
    await proxied(builder, names, flags, context);
  } else {
    const { certified } = await import("./buildx/certificates.ts");
    await certified(builder, names, { ...flags, certSecret: flags.certSecret }, context);
  }
}

async function proxied(
  builder: string,
  names: readonly string[],
  flags: ConnectFlags & BuildxFlags,
  context: CliContext,
): Promise<void> {
  const proxies: OpenProxy[] = [];
  const made: string[] = [];
  try {
    for (const name of names) {
      const opened = await openProxy(name, { port: 0 }, flags, context);
      proxies.push(opened);
      const append = made.length > 0 ? ["--append"] : [];
      await runBuildx(
        ["create", `--name=${builder}`, `--node=${name}`, "--driver=remote", ...append, opened.local.url],
        context,
      );
      made.push(name);
      context.err.write(`builder ${builder}: node ${name} at ${opened.local.url}, ${opened.description}\n`);
    }
    if (flags.use === true) {
      await runBuildx(["use", builder], context);
    }
    context.out.write(`docker buildx build --builder ${builder} .\n`);
    context.err.write("the builder is there until this command ends (Ctrl-C)\n");
    await untilAborted(context.stop);
  } finally {
    if (made.length > 0) {
      await runBuildx(["rm", "--force", builder], context);
    }
    await Promise.all(proxies.map((opened) => opened.close()));
  }
}
