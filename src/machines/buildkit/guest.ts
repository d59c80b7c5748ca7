/** How BuildKit is to run in a guest; `spec.guest` of a SatelliteClass, and the satellite's port. */
export interface BuildkitGuest {
  /** TCP port of the gRPC API. */
  readonly port: number;
  /** Whether it serves TLS, with a key of the machine's own. */
  readonly tls: "Required" | "Off";
  /** Most of all CPUs, in percent, that builds may take; the rest keeps BuildKit and the guest responsive. */
  readonly cpuPercent: number;
  /** Most of the memory, in percent, that builds and BuildKit may take. */
  readonly memoryPercent: number;
  /** Most swap that they may take, in percent of the memory. */
  readonly swapPercent: number;
  /** Most processes and threads of all builds together. */
  readonly maxProcesses: number;
  /** Share of the disk, in percent, that the cache must leave free. */
  readonly diskReservePercent: number;
  /** BuildKit's version; {@link DEFAULT_VERSION} when absent. */
  readonly version?: string;
  /** Where the release archive of the version is, and its checksum. */
  readonly archive?: BuildkitArchive;
  readonly proxy?: GuestProxy;
  /** Mirrors by registry, as "host" or "host/path". */
  readonly registryMirrors?: Readonly<Record<string, readonly string[]>>;
  /** PEM certificates of authorities that BuildKit trusts beside the image's own. */
  readonly caCertificates?: string;
  /** Most build steps that run at once; no limit when absent. */
  readonly maxParallelism?: number;
  /** Entitlements that builds may ask for and that weaken their isolation; none when absent. */
  readonly insecureEntitlements?: readonly string[];
  /** Further lines of buildkitd.toml. */
  readonly extraConfig?: string;
  /** Whether the cache is on a volume of its own, which is attached a little after the first boot has begun. */
  readonly dataVolume?: boolean;
}

/** A release archive of BuildKit, or of a program that replaces it. */
export interface BuildkitArchive {
  /** URL with `{version}` and `{architecture}` (amd64, arm64); that of BuildKit's own releases when absent. */
  readonly url?: string;
  /** Its SHA-256 by architecture, 64 hexadecimal digits. */
  readonly sha256: Readonly<Record<string, string>>;
}

/** Proxies of the guest: of the download, and of BuildKit's own requests to registries. */
export interface GuestProxy {
  readonly http?: string;
  readonly https?: string;
  /** Hosts and domains that are asked directly, separated by commas. */
  readonly noProxy?: string;
}

/** BuildKit's version unless the class names another. */
export const DEFAULT_VERSION = "0.33.1";

/** Release archives of {@link DEFAULT_VERSION} (github.com/moby/buildkit/releases). */
const DEFAULT_SHA256: BuildkitArchive["sha256"] = {
  amd64: "4e044bcd62a0c0bbe6a8c94d73989de2bfe4c04dbc0f9d6021cf96b72cd1d965",
  arm64: "4e1ba91f139761f249a1fa6c71e632dfdbdafeda416176ecadefbb95225e56c4",
};

const RELEASES =
  "https://github.com/moby/buildkit/releases/download/v{version}/buildkit-v{version}.linux-{architecture}.tar.gz";

/** The version that the guest must have, without "v". */
export function wantedVersion({ version = DEFAULT_VERSION }: Pick<BuildkitGuest, "version">): string {
  return version.replace(/^v/, "");
}

/** The archive that an image without that version downloads. Without a checksum it downloads nothing. */
export function wantedArchive(guest: Pick<BuildkitGuest, "version" | "archive">): Required<BuildkitArchive> {
  const version = wantedVersion(guest);
  const known = version === DEFAULT_VERSION ? DEFAULT_SHA256 : {};
  const { url = RELEASES, sha256 = known } = guest.archive ?? {};
  return { url: url.replaceAll("{version}", encodeURIComponent(version)), sha256 };
}
