import { SatelliteError } from "../base/errors.ts";
import { isDnsLabel, isDnsSubdomain } from "../base/names.ts";
import type { AddressOptions } from "../router/address.ts";

/** Options of `satellites router` that say how requests name satellites. */
export interface RouterAddressOptions {
  /** Only satellites of this namespace; all of them when absent. */
  readonly watchNamespace?: string;
  /** Domain in authorities of the form name.namespace.domain. */
  readonly domain?: string;
  /** Namespace of requests that name a satellite without one. */
  readonly defaultNamespace?: string;
  /** "namespace/name" of the satellite for requests that name none. */
  readonly defaultSatellite?: string;
}

/**
 * How the router reads addresses.
 *
 * @throws SatelliteError `InvalidOption` for what no address can ever match
 */
export function readAddressOptions({
  watchNamespace,
  domain,
  defaultNamespace,
  defaultSatellite,
}: RouterAddressOptions): AddressOptions {
  if (domain !== undefined && !isDnsSubdomain(domain.toLowerCase())) {
    throw invalid(
      "--domain",
      domain,
      "write a domain without scheme, port, wildcard or dots at its ends: vm.example.com",
    );
  }
  for (const [flag, value] of [
    ["--watch-namespace", watchNamespace],
    ["--default-namespace", defaultNamespace],
  ] as const) {
    if (value !== undefined && !isDnsLabel(value)) {
      throw invalid(flag, value, "write the name of a namespace, or leave the flag out");
    }
  }
  const [namespace = "", name = "", ...rest] = defaultSatellite?.split("/") ?? [];
  if (
    defaultSatellite !== undefined &&
    (!isDnsLabel(namespace) || !isDnsSubdomain(name) || rest.length > 0)
  ) {
    throw invalid("--default-satellite", defaultSatellite, "write NAMESPACE/NAME, or leave the flag out");
  }
  return {
    ...(domain === undefined ? {} : { domain }),
    ...(watchNamespace === undefined ? {} : { onlyNamespace: watchNamespace }),
    ...(defaultNamespace === undefined ? {} : { defaultNamespace }),
    ...(defaultSatellite === undefined ? {} : { defaultSatellite: { namespace, name } }),
  };
}

function invalid(flag: string, value: string, help: string): SatelliteError {
  return new SatelliteError("InvalidOption", `${flag} ${JSON.stringify(value)} matches nothing; ${help}`);
}
