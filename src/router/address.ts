import type { ConnectionInfo, HeaderList } from "./engine.ts";
import { firstValue, valuesOf } from "./header-list.ts";

/** Names one satellite, and says where the name was found. */
export interface SatelliteAddress {
  readonly namespace: string;
  readonly name: string;
  readonly source: "metadata" | "server-name" | "authority" | "default";
}

/** What a request says about its satellite. */
export type AddressResult =
  | { readonly kind: "found"; readonly address: SatelliteAddress }
  | { readonly kind: "none" }
  | { readonly kind: "invalid"; readonly message: string };

/** How a listener reads addresses. */
export interface AddressOptions {
  /** Domain under which `<name>.<namespace>.<domain>` names a satellite; authorities are not read when absent. */
  readonly domain?: string;
  /** Namespace of a satellite that metadata names without one. */
  readonly defaultNamespace?: string;
  /** Satellite of requests that name none. */
  readonly defaultSatellite?: { readonly namespace: string; readonly name: string };
}

/** Request headers that name a satellite: ours, and those that earthly sends. */
const NAME_FIELDS = ["satellite-name", "satellite_name"] as const;
const NAMESPACE_FIELDS = ["satellite-namespace", "satellite_org"] as const;

/** A Kubernetes object name (DNS subdomain) and namespace (DNS label), RFC 1123. */
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*$/;
const MAX_NAME_LENGTH = 253;
/** How much of a bad value an error message repeats. */
const MAX_QUOTED_LENGTH = 80;

/** How to name a satellite, for error messages. */
export function addressHelp(options: AddressOptions): string {
  const byAuthority =
    options.domain === undefined ? "" : `, or call the authority <name>.<namespace>.${options.domain}`;
  return `send the gRPC metadata satellite-name and satellite-namespace${byAuthority}`;
}

/**
 * Finds the satellite that a request is for: by metadata, by TLS server name or authority, or the listener's default.
 * A name that is given twice or in two ways that disagree is invalid, never guessed. An authority that is no satellite's
 * name (clients send `localhost`, an IP address, or a whole URL) is passed over.
 */
export function addressOf(
  connection: ConnectionInfo,
  headers: HeaderList,
  options: AddressOptions,
): AddressResult {
  const byMetadata = metadataAddress(headers, options);
  if (byMetadata?.kind === "invalid") {
    return byMetadata;
  }
  const named = [
    byMetadata?.address,
    hostAddress(connection.serverName, "server-name", options),
    hostAddress(firstValue(headers, ":authority") ?? firstValue(headers, "host"), "authority", options),
  ].filter((address) => address !== undefined);
  const [first, ...others] = named;
  if (first === undefined) {
    const { defaultSatellite } = options;
    return defaultSatellite === undefined
      ? { kind: "none" }
      : { kind: "found", address: { ...defaultSatellite, source: "default" } };
  }
  const other = others.find(({ namespace, name }) => namespace !== first.namespace || name !== first.name);
  if (other !== undefined) {
    return invalid(
      `the request names two satellites: ${first.namespace}/${first.name} by its ${first.source} and ` +
        `${other.namespace}/${other.name} by its ${other.source}; name one`,
    );
  }
  return { kind: "found", address: first };
}

function invalid(message: string): Extract<AddressResult, { kind: "invalid" }> {
  return { kind: "invalid", message };
}

function metadataAddress(
  headers: HeaderList,
  options: AddressOptions,
): Exclude<AddressResult, { kind: "none" }> | undefined {
  const name = oneValue(headers, NAME_FIELDS);
  const namespace = oneValue(headers, NAMESPACE_FIELDS);
  if (name.kind === "conflict" || namespace.kind === "conflict") {
    const fields = name.kind === "conflict" ? NAME_FIELDS : NAMESPACE_FIELDS;
    return invalid(`${fields.join(" or ")} is given more than once; give it once`);
  }
  if (name.value === undefined && namespace.value === undefined) {
    return undefined;
  }
  if (name.value === undefined) {
    return invalid("satellite-namespace is given without satellite-name; give both");
  }
  const namespaceName = namespace.value ?? options.defaultNamespace;
  if (namespaceName === undefined) {
    return invalid("satellite-name is given without satellite-namespace; give both");
  }
  if (!isName(name.value)) {
    return invalid(`satellite-name ${quoted(name.value)} is not a Kubernetes object name (RFC 1123)`);
  }
  if (!LABEL.test(namespaceName)) {
    return invalid(`satellite-namespace ${quoted(namespaceName)} is not a Kubernetes namespace (RFC 1123)`);
  }
  return { kind: "found", address: { namespace: namespaceName, name: name.value, source: "metadata" } };
}

/** The one value of fields that mean the same. A field that comes twice is a conflict even with equal values. */
function oneValue(
  headers: HeaderList,
  fields: readonly string[],
): { readonly kind: "value"; readonly value: string | undefined } | { readonly kind: "conflict" } {
  let value: string | undefined;
  for (const field of fields) {
    const values = valuesOf(headers, field);
    const [candidate] = values;
    if (values.length > 1 || (value !== undefined && candidate !== undefined && candidate !== value)) {
      return { kind: "conflict" };
    }
    value ??= candidate;
  }
  return { kind: "value", value };
}

/** Reads `<name>.<namespace>.<domain>[:port]`; `undefined` for every other host. */
function hostAddress(
  host: string | undefined,
  source: "server-name" | "authority",
  { domain }: AddressOptions,
): SatelliteAddress | undefined {
  if (host === undefined || domain === undefined) {
    return undefined;
  }
  const bare = host
    .toLowerCase()
    .replace(/:\d{1,5}$/, "")
    .replace(/\.$/, "");
  const suffix = `.${domain.toLowerCase()}`;
  if (!bare.endsWith(suffix)) {
    return undefined;
  }
  const path = bare.slice(0, -suffix.length);
  const dot = path.lastIndexOf(".");
  const name = path.slice(0, Math.max(0, dot));
  const namespace = path.slice(dot + 1);
  return isName(name) && LABEL.test(namespace) ? { namespace, name, source } : undefined;
}

function isName(value: string): boolean {
  return value.length <= MAX_NAME_LENGTH && SUBDOMAIN.test(value);
}

function quoted(value: string): string {
  return JSON.stringify(value.slice(0, MAX_QUOTED_LENGTH));
}
