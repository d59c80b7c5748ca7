/**
 * Generates docs/reference/ from what is the source of truth: the fields of both resources from their CRDs, the metrics
 * from the code that registers them. `node build/generate-reference.ts --check` only compares, and fails on a difference.
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { Registry } from "@prometheus-io/client";
import { parse } from "yaml";
import { createKubeMetrics } from "../src/kube/metrics.ts";
import { createEc2Metrics } from "../src/machines/ec2/metrics.ts";
import { createOperatorMetrics } from "../src/operator/metrics.ts";
import { createAccessMetrics, createRouterMetrics, createWorkerMetrics } from "../src/router/metrics.ts";

const CRD_FOLDER = new URL("../crds/", import.meta.url);
const TARGET_FOLDER = new URL("../docs/reference/", import.meta.url);

/** What is read of an OpenAPI schema (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/). */
interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly [limit: string]: unknown;
}

interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly shortNames?: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

/** A field as the reference shows it. */
export interface Field {
  /** As kubectl explain takes it, with [] for an item of a list and <key> for a value of a map. */
  readonly path: string;
  readonly schema: Schema;
  readonly isRequired: boolean;
}

/** Every field below a schema, in its order. */
export function fieldsOf(schema: Schema, path = ""): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const own = path === "" ? name : `${path}.${name}`;
    const field: Field = { path: own, schema: child, isRequired: schema.required?.includes(name) ?? false };
    return [field, ...fieldsOf(child, own), ...elementFields(child, own)];
  });
}

function elementFields({ items, additionalProperties }: Schema, path: string): Field[] {
  return [
    ...(items === undefined ? [] : fieldsOf(items, `${path}[]`)),
    ...(additionalProperties === undefined ? [] : fieldsOf(additionalProperties, `${path}.<key>`)),
  ];
}

/** What a value may be, in words. */
function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) {
    return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(", ");
  }
  if (schema.items !== undefined) {
    return `list of ${typeOf(schema.items)}`;
  }
  if (schema.additionalProperties !== undefined) {
    return `map of ${typeOf(schema.additionalProperties)}`;
  }
  return schema.format === "date-time" ? "time" : (schema.type ?? "any");
}

const LIMITS: readonly (readonly [key: string, words: string])[] = [
  ["minimum", "at least"],
  ["maximum", "at most"],
  ["maxItems", "items at most"],
  ["maxProperties", "entries at most"],
  ["maxLength", "characters at most"],
];

function limitsOf(schema: Schema, isRequired: boolean): string {
  const limits = LIMITS.filter(([key]) => schema[key] !== undefined).map(([key, words]) => {
    const value = String(schema[key]);
    return words.startsWith("at ") ? `${words} ${value}` : `${value} ${words}`;
  });
  const fallback = schema.default;
  return [
    ...(isRequired ? ["required"] : []),
    ...(fallback === undefined || typeof fallback === "object"
      ? []
      : [`default \`${JSON.stringify(fallback)}\``]),
    ...limits,
  ].join("; ");
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ").trim();

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

const GENERATED = "by build/generate-reference.ts. Do not edit.";

function renderResource({ spec }: CustomResourceDefinition, file: string): string {
  const { group, scope, names, versions } = spec;
  const sections = versions.map(({ name, schema }) => {
    const { openAPIV3Schema: root } = schema;
    const part = (title: string): string => {
      const fields = fieldsOf(root).filter(({ path }) => path.startsWith(`${title}.`));
      return `## ${title}\n\n${root.properties?.[title]?.description ?? ""}\n\n${table(
        ["field", "value", "limits", "meaning"],
        fields.map((field) => [
          `\`${field.path}\``,
          typeOf(field.schema),
          limitsOf(field.schema, field.isRequired),
          field.schema.description ?? "",
        ]),
      )}`;
    };
    return `\`apiVersion: ${group}/${name}\`. ${root.description ?? ""}\n\n${part("spec")}\n\n${part("status")}`;
  });
  const short = (names.shortNames ?? []).map((name) => `\`${name}\``).join(", ");
  return `# ${names.kind}

Generated from crds/${file} ${GENERATED}

${scope === "Namespaced" ? "In a namespace" : "For the whole cluster"}; kubectl knows it as \`${names.plural}\`${short === "" ? "" : ` or ${short}`}, and \`kubectl explain ${names.plural}.spec --recursive\` shows the same. What fields mean to each other is in [the API](../api.md).

${sections.join("\n\n")}
`;
}

/** Names that the metrics library gives every process; see its documentation. */
const isOfTheProcess = (name: string): boolean => /^(process|nodejs)_/.test(name);

async function metricRows(register: (registry: Registry) => void): Promise<string[][]> {
  const registry = new Registry();
  register(registry);
  const metrics = registry.getMetricsAsArray().filter(({ name }) => !isOfTheProcess(name));
  return metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((metric) => {
      const labels = (Reflect.get(metric, "labelNames") as readonly string[] | undefined) ?? [];
      const kind = metric.constructor.name.toLowerCase();
      return [`\`${metric.name}\``, kind, labels.map((label) => `\`${label}\``).join(", "), metric.help];
    });
}

async function renderMetrics(): Promise<string> {
  const programs = [
    [
      "Operator",
      (registry: Registry) => {
        createOperatorMetrics(registry, () => []);
        createEc2Metrics(registry);
        createKubeMetrics(registry);
      },
    ],
    [
      "Router",
      (registry: Registry) => {
        createRouterMetrics(registry);
        createAccessMetrics(registry);
        createWorkerMetrics(registry);
        createKubeMetrics(registry);
      },
    ],
  ] as const;
  const sections = await Promise.all(
    programs.map(
      async ([title, register]) =>
        `## ${title}\n\n${table(["metric", "type", "labels", "meaning"], await metricRows(register))}`,
    ),
  );
  return `# Metrics

Generated from the code that registers them ${GENERATED}

Both programs serve them at \`/metrics\` of \`--health-address\`, beside the process's own (\`process_*\`, \`nodejs_*\`). No label names a satellite: there may be tens of thousands. Which of them to watch is in [operations](../operations.md).

${sections.join("\n\n")}
`;
}

/** Every CRD, by the name of its file. */
export async function readCrds(): Promise<Map<string, CustomResourceDefinition>> {
  const files = (await readdir(CRD_FOLDER)).filter((name) => name.endsWith(".yaml")).toSorted();
  const crds = files.map(
    async (file) =>
      [file, parse(await readFile(new URL(file, CRD_FOLDER), "utf8")) as CustomResourceDefinition] as const,
  );
  return new Map(await Promise.all(crds));
}

/** The pages, by the name of their file. */
export async function renderReference(): Promise<Map<string, string>> {
  const crds = [...(await readCrds())];
  return new Map([
    ...crds.map(
      ([file, crd]) => [`${crd.spec.names.kind.toLowerCase()}.md`, renderResource(crd, file)] as const,
    ),
    ["metrics.md", await renderMetrics()] as const,
  ]);
}

if (process.argv[1] === import.meta.filename) {
  await mkdir(TARGET_FOLDER, { recursive: true });
  for (const [name, wanted] of await renderReference()) {
    const target = new URL(name, TARGET_FOLDER);
    if (!process.argv.includes("--check")) {
      await writeFile(target, wanted);
    } else if ((await readFile(target, "utf8").catch(() => "")) !== wanted) {
      console.error(`docs/reference/${name} is out of date; run: node build/generate-reference.ts`);
      process.exitCode = 1;
    }
  }
}
