import { isDnsLabel } from "../base/names.ts";
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
  /**
   * Domain under which `<name>.<namespace>.<domain>` and `<name>--<namespace>.<domain>` name a satellite; authorities are
   * not read when absent.
   */
  readonly domain?: string;
  /** Namespace of a satellite that metadata names without one. */
  readonly defaultNamespace?: string;
  /** The only namespace whose satellites are served; all are when absent. */
  readonly onlyNamespace?: string;
  /** Satellite of requests that name none. */
  readonly defaultSatellite?: { readonly namespace: string; readonly name: string };
}

/** Request headers that name a satellite: ours, and those that earthly sends. */
const NAME_FIELDS = ["satellite-name", "satellite_name"] as const;
const NAMESPACE_FIELDS = ["satellite-namespace", "satellite_org"] as const;

/** A Kubernetes object name (DNS subdomain), RFC 1123. */
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*$/;
const MAX_NAME_LENGTH = 253;
const MAX_LABEL_LENGTH = 63;
/** How much of a bad value an error message repeats. */
const MAX_QUOTED_LENGTH = 80;

/** How to name a satellite, for error messages. */
export function addressHelp(options: AddressOptions): string {
  const byAuthority =
    options.domain === undefined
      ? ""
      : `, or call the authority <name>.<namespace>.${options.domain} or <name>--<namespace>.${options.domain}`;
  return `send the gRPC metadata satellite-name and satellite-namespace${byAuthority}`;
}

/**
 * Finds the satellite that a request is for: by metadata, by TLS server name or authority, or the listener's default.
 * A name that is given twice or in two ways that disagree is invalid, never guessed. An authority that is no satellite's
 * name (clients send `localhost`, an IP address, or a whole URL) is passed over.
 *
 * One that can be read as several satellites, since names and namespaces may hold `--` themselves, names none of them: it
 * is invalid, unless something else in the request names one of them. The rule does not ask which of them exist, so what
 * an authority means never changes.
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
  const hosts = [
    hostReading(connection.serverName, "server-name", options),
    hostReading(firstValue(headers, ":authority") ?? firstValue(headers, "host"), "authority", options),
  ].filter((reading) => reading !== undefined);
  const named = [byMetadata?.address, ...hosts.map(({ addresses }) => only(addresses))];
  const address = named.find((candidate) => candidate !== undefined);
  if (address === undefined) {
    const [ambiguous] = hosts;
    return ambiguous === undefined
      ? within(options.onlyNamespace, defaultAddress(options))
      : invalid(ambiguityOf(ambiguous, options));
  }
  const others = [
    ...named.filter((other) => other !== undefined).map((other) => [other]),
    ...hosts.map(({ addresses }) => addresses),
  ];
  const other = others.find((readings) => !readings.some((reading) => isSame(reading, address)))?.[0];
  if (other !== undefined) {
    return invalid(
      `the request names two satellites: ${address.namespace}/${address.name} by its ${address.source} and ` +
        `${other.namespace}/${other.name} by its ${other.source}; name one`,
    );
  }
  return within(options.onlyNamespace, { kind: "found", address });
}

/** What is watched is one namespace's: of another's satellites nothing would ever be heard. */
function within(namespace: string | undefined, result: AddressResult): AddressResult {
  return result.kind === "found" && namespace !== undefined && result.address.namespace !== namespace
    ? invalid(
        `this router serves the satellites of namespace ${namespace} alone (--watch-namespace), and the request names ` +
          `${result.address.namespace}/${result.address.name}; call the router that serves that one`,
      )
    : result;
}

function defaultAddress({ defaultSatellite }: AddressOptions): AddressResult {
  return defaultSatellite === undefined
    ? { kind: "none" }
    : { kind: "found", address: { ...defaultSatellite, source: "default" } };
}

function isSame(left: SatelliteAddress, right: SatelliteAddress): boolean {
  return left.namespace === right.namespace && left.name === right.name;
}

function only(addresses: readonly SatelliteAddress[]): SatelliteAddress | undefined {
  return addresses.length === 1 ? addresses[0] : undefined;
}

function ambiguityOf({ host, addresses }: HostReading, { domain = "" }: AddressOptions): string {
  const readings = addresses.map(({ namespace, name }) => `${namespace}/${name}`).join(" or ");
  return (
    `the name ${quoted(host)} can mean ${readings}, since names and namespaces may hold "--" too; call ` +
    `<name>.<namespace>.${domain}, or send the gRPC metadata satellite-name and satellite-namespace`
  );
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
  if (!isDnsLabel(namespaceName)) {
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

/** A host below the domain, and the satellites that it can mean: one or more. */
interface HostReading {
  readonly host: string;
  readonly addresses: readonly SatelliteAddress[];
}

/**
 * Reads `<name>.<namespace>.<domain>[:port]` and `<name>--<namespace>.<domain>[:port]`; `undefined` for every other host.
 * The second is one DNS label, as a wildcard certificate asks for (RFC 6125 section 6.4.3), so the name has no dots there.
 */
function hostReading(
  host: string | undefined,
  source: "server-name" | "authority",
  { domain }: AddressOptions,
): HostReading | undefined {
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
  const splits = dot < 0 ? labelSplits(path) : [[path.slice(0, dot), path.slice(dot + 1)] as const];
  const addresses = splits
    .filter(([name, namespace]) => isName(name) && isDnsLabel(namespace))
    .map(([name, namespace]) => ({ namespace, name, source }));
  return addresses.length === 0 ? undefined : { host: bare, addresses };
}

/** Every way to cut one DNS label at a "--". */
function labelSplits(label: string): (readonly [name: string, namespace: string])[] {
  const splits: (readonly [string, string])[] = [];
  if (label.length <= MAX_LABEL_LENGTH) {
    for (let at = label.indexOf("--"); at >= 0; at = label.indexOf("--", at + 1)) {
      splits.push([label.slice(0, at), label.slice(at + 2)]);
    }
  }
  return splits;
}

function isName(value: string): boolean {
  return value.length <= MAX_NAME_LENGTH && SUBDOMAIN.test(value);
}

function quoted(value: string): string {
  return JSON.stringify(value.slice(0, MAX_QUOTED_LENGTH));
}
