import { stringify } from "yaml";
import { daemonConfig } from "./daemon-config.ts";
import { type BuildkitGuest, type GuestProxy, wantedArchive, wantedVersion } from "./guest.ts";
import * as at from "./paths.ts";
import {
  INSTALL_SCRIPT,
  keepSpaceScript,
  limitScript,
  MAKE_KEY_SCRIPT,
  MOUNT_CACHE_SCRIPT,
  RUN_BUILD_SCRIPT,
} from "./scripts.ts";
import { buildsSliceUnit, CACHE_UNIT, daemonUnit, LIMIT_UNIT, SLICE_UNIT, spaceUnit } from "./units.ts";

/**
 * Cloud-config by which a stock image with cloud-init and systemd (docs/guest.md) serves BuildKit on the satellite's
 * port within the class's limits. It runs once, at the first boot. What it installs works at every later boot, with another
 * instance type too: limits are shares of the machine and are computed at each boot.
 */
export function buildkitUserData(guest: BuildkitGuest): string {
  const archive = { version: wantedVersion(guest), ...wantedArchive(guest) };
  const config = {
    write_files: [
      file(at.CONFIG, daemonConfig(guest)),
      file(at.ARCHIVE, `${JSON.stringify(archive)}\n`),
      file(at.ENVIRONMENT, environment(guest)),
      ...(guest.caCertificates === undefined
        ? []
        : [file(`${at.CA_DIRECTORY}/ca.pem`, guest.caCertificates)]),
      program(at.INSTALL, INSTALL_SCRIPT),
      program(at.LIMIT, limitScript(guest)),
      program(at.RUN_BUILD, RUN_BUILD_SCRIPT),
      program(at.KEEP_SPACE, keepSpaceScript(guest)),
      ...(guest.dataVolume === true
        ? [program(at.MOUNT_CACHE, MOUNT_CACHE_SCRIPT), unit("buildkit-cache.service", CACHE_UNIT)]
        : []),
      ...(guest.tls === "Off" ? [] : [program(at.MAKE_KEY, MAKE_KEY_SCRIPT)]),
      unit(at.SLICE, SLICE_UNIT),
      unit(at.BUILDS_SLICE, buildsSliceUnit(guest)),
      unit("buildkit-limit.service", LIMIT_UNIT),
      unit("buildkit-space.service", spaceUnit(guest)),
      unit("buildkit.service", daemonUnit(guest)),
    ],
    runcmd: [
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "--now", "--no-block", "buildkit.service"],
    ],
  };
  return `#cloud-config\n${stringify(config, { lineWidth: 0 })}`;
}

interface CloudConfigFile {
  readonly path: string;
  readonly permissions?: string;
  readonly content: string;
}

/** A file that everybody may read, which is what cloud-init makes unless told otherwise. */
function file(path: string, content: string): CloudConfigFile {
  return { path, content };
}

function program(path: string, content: string): CloudConfigFile {
  return { path, permissions: "0755", content };
}

function unit(name: string, content: string): CloudConfigFile {
  return file(`${at.UNITS}/${name}`, content);
}

/** Environment of the download and of the daemon; Go's programs read proxies and authorities from it. */
function environment({ proxy = {}, caCertificates }: BuildkitGuest): string {
  const names: Readonly<Record<keyof GuestProxy, string>> = {
    http: "HTTP_PROXY",
    https: "HTTPS_PROXY",
    noProxy: "NO_PROXY",
  };
  const proxies = Object.entries(proxy).flatMap(([key, value]) => {
    const name = names[key as keyof GuestProxy];
    // Python reads the names in lower case, and HTTP_PROXY not at all where it might run behind a web server.
    return [`${name}=${value}\n`, `${name.toLowerCase()}=${value}\n`];
  });
  const authorities =
    caCertificates === undefined ? [] : [`SSL_CERT_DIR=${at.CA_DIRECTORY}:/etc/ssl/certs\n`];
  return [...proxies, ...authorities].join("");
}
