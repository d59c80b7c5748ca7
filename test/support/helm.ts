import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { requireTool } from "../tools/catalog.ts";

export const CHART = join(import.meta.dirname, "../../charts/satellites");

/** Values without which nothing renders. */
export const REQUIRED_VALUES = { image: { repository: "example/satellites" } };

/** Values of the chart, as a values file holds them. */
export type Values = Readonly<Record<string, unknown>>;

/** An object that the chart renders, as far as tests look into it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface HelmOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs helm with `values` as a values file. It has a home of its own, so that nobody's settings and plugins
 * take part, and knows no cluster but that of `kubeconfig`.
 */
export async function helm(
  args: readonly string[],
  { values, kubeconfig }: { readonly values?: Values; readonly kubeconfig?: string } = {},
): Promise<HelmOutcome> {
  const home = mkdtempSync(join(tmpdir(), "satellites-helm-"));
  try {
    const valuesFile = join(home, "values.yaml");
    writeFileSync(valuesFile, stringify(values ?? {}));
    const all = [...args, ...(values === undefined ? [] : ["--values", valuesFile])];
    const env = { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig ?? join(home, "none") };
    return await new Promise((resolve) => {
      const options = { env, maxBuffer: 64 * 1024 * 1024 };
      execFile(requireTool("helm"), all, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? 1);
        resolve({ code, stdout, stderr });
      });
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Like {@link helm}, for what must succeed: returns what it printed. */
export async function helmSucceeds(...parameters: Parameters<typeof helm>): Promise<string> {
  const { code, stdout, stderr } = await helm(...parameters);
  if (code !== 0) {
    throw new Error(`helm ${parameters[0].join(" ")} ended with ${code}: ${stderr}`);
  }
  return stdout;
}

/** Documents of a YAML stream, without empty ones. */
export function manifestsOf(yaml: string): Manifest[] {
  return parseAllDocuments(yaml)
    .map((document) => {
      if (document.errors.length > 0) {
        throw new Error(`the chart renders what is no YAML: ${document.errors[0]?.message ?? ""}`);
      }
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

/** Everything that the chart renders, for release "sat" in namespace "sat-system" unless said otherwise. */
export async function renderChart(
  values: Values = {},
  { release = "sat", namespace = "sat-system" } = {},
): Promise<Manifest[]> {
  const args = ["template", release, CHART, "--namespace", namespace, "--kube-version", "1.37.0"];
  return manifestsOf(await helmSucceeds(args, { values: { ...REQUIRED_VALUES, ...values } }));
}

/**
 * The one object of that kind and name.
 *
 * @throws Error that names what there is, when it is not there
 */
export function findManifest(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) {
    const there = manifests.map((each) => `${each.kind}/${each.metadata.name}`).join(", ");
    throw new Error(`the chart renders no ${kind}/${name}, only ${there}`);
  }
  return found;
}
