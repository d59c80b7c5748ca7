import type { BuildkitGuest } from "./guest.ts";
import * as at from "./paths.ts";

/** buildkitd.toml (BuildKit, docs/buildkitd.toml.md); space is given as a share of the disk. */
export function daemonConfig(guest: BuildkitGuest): string {
  const { port, tls, diskReservePercent, maxParallelism, insecureEntitlements = [] } = guest;
  const sections = [
    section("", { root: at.CACHE, "insecure-entitlements": insecureEntitlements }),
    section("grpc", { address: [`tcp://0.0.0.0:${port}`, "unix:///run/buildkit/buildkitd.sock"] }),
    ...(tls === "Off"
      ? []
      : [section("grpc.tls", { cert: `${at.TLS_DIRECTORY}/cert.pem`, key: `${at.TLS_DIRECTORY}/key.pem` })]),
    section("worker.containerd", { enabled: false }),
    section("worker.oci", {
      enabled: true,
      binary: at.RUN_BUILD,
      defaultCgroupParent: `/${at.SLICE}/${at.BUILDS_SLICE}`,
      gc: true,
      minFreeSpace: `${diskReservePercent}%`,
      maxUsedSpace: `${100 - diskReservePercent}%`,
      ...(maxParallelism === undefined ? {} : { "max-parallelism": maxParallelism }),
    }),
    ...Object.entries(guest.registryMirrors ?? {}).map(([registry, mirrors]) =>
      section(`registry.${JSON.stringify(registry)}`, { mirrors }),
    ),
  ];
  return [...sections, ...(guest.extraConfig === undefined ? [] : [guest.extraConfig])].join("\n");
}

/** A table of TOML. JSON's strings, numbers and lists are TOML's too, where no control characters are in them. */
function section(name: string, values: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  return `${name === "" ? "" : `[${name}]\n`}${lines.join("")}`;
}
