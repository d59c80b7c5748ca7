import { stringify } from "yaml";

/** How BuildKit is to run in a guest; `spec.guest` of a SatelliteClass, and the satellite's port. */
export interface BuildkitGuest {
  /** TCP port of the gRPC API. */
  readonly port: number;
  /** Whether it serves TLS, with a key of the machine's own. */
  readonly tls: "Required" | "Off";
  /** Most of all CPUs, in percent, that builds may take; the rest keeps the guest responsive. */
  readonly cpuPercent: number;
  /** Most of the memory, in percent, that builds may take. */
  readonly memoryPercent: number;
  /** Share of the disk, in percent, that the cache must leave free. */
  readonly diskReservePercent: number;
  /** Version that the image's buildkitd must have; any when absent. */
  readonly version?: string;
  /** Whether the cache is on a volume of its own, which is attached a little after the first boot has begun. */
  readonly dataVolume?: boolean;
}

const CONFIG = "/etc/buildkit/buildkitd.toml";
const LIMIT_CPU = "/usr/local/sbin/satellites-limit-cpu";
const CHECK_VERSION = "/usr/local/sbin/satellites-check-version";
const MOUNT_CACHE = "/usr/local/sbin/satellites-mount-cache";
const CACHE = "/var/lib/buildkit";
const MAKE_KEY = "/usr/local/sbin/satellites-make-key";
const TLS_DIRECTORY = "/etc/buildkit/tls";
/** The ID of the instance that booted, which cloud-init writes before the network is up (cloud-init, "Boot stages"). */
const INSTANCE_ID = "/var/lib/cloud/data/instance-id";
const UNITS = "/etc/systemd/system";

/** On shortage the kernel ends builds before the guest's own services (proc(5), "oom_score_adj"; 0 is theirs). */
const OOM_SCORE_ADJUST = 500;

/**
 * Cloud-config by which an image that holds cloud-init, systemd, buildkitd and runc (docs/guest.md) serves BuildKit
 * on the satellite's port within the class's limits. It is run once, at the first boot; what it installs holds
 * for every boot after, with another instance type too: memory and disk are limited by share, and the CPU quota is
 * counted anew at each boot.
 */
export function buildkitUserData(guest: BuildkitGuest): string {
  const config = {
    write_files: [
      file(CONFIG, daemonConfig(guest)),
      file(LIMIT_CPU, limitCpuScript(guest), "0755"),
      ...(guest.version === undefined
        ? []
        : [file(CHECK_VERSION, checkVersionScript(guest.version), "0755")]),
      ...(guest.dataVolume === true
        ? [file(MOUNT_CACHE, MOUNT_CACHE_SCRIPT, "0755"), file(`${UNITS}/buildkit-cache.service`, CACHE_UNIT)]
        : []),
      ...(guest.tls === "Off" ? [] : [file(MAKE_KEY, MAKE_KEY_SCRIPT, "0755")]),
      file(`${UNITS}/buildkit.slice`, sliceUnit(guest)),
      file(`${UNITS}/buildkit-cpu.service`, CPU_UNIT),
      file(`${UNITS}/buildkit.service`, daemonUnit(guest)),
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
  readonly permissions: string;
  readonly content: string;
}

function file(path: string, content: string, permissions = "0644"): CloudConfigFile {
  return { path, permissions, content };
}

/** buildkitd.toml (BuildKit, docs/buildkitd.toml.md); space is given as a share of the disk. */
function daemonConfig({ port, tls, diskReservePercent }: BuildkitGuest): string {
  const identity = `
  [grpc.tls]
    cert = "${TLS_DIRECTORY}/cert.pem"
    key = "${TLS_DIRECTORY}/key.pem"
`;
  return `root = "${CACHE}"

[grpc]
  address = ["tcp://0.0.0.0:${port}", "unix:///run/buildkit/buildkitd.sock"]
${tls === "Off" ? "" : identity}
[worker.containerd]
  enabled = false

[worker.oci]
  enabled = true
  gc = true
  minFreeSpace = "${diskReservePercent}%"
  maxUsedSpace = "${100 - diskReservePercent}%"
`;
}

/** systemd counts CPUQuota in percent of one CPU (systemd.resource-control(5)). */
function limitCpuScript({ cpuPercent }: BuildkitGuest): string {
  return `#!/bin/sh
set -eu
systemctl set-property --runtime buildkit.slice "CPUQuota=$(( $(nproc) * ${cpuPercent} ))%"
`;
}

function checkVersionScript(version: string): string {
  return `#!/bin/sh
set -eu
wanted=${shellQuoted(version)}
found=$(buildkitd --version | awk '{ print $3 }')
if [ "\${found#v}" != "\${wanted#v}" ]; then
  echo "the image holds buildkitd $found, but spec.guest.version of the SatelliteClass is $wanted" >&2
  exit 1
fi
`;
}

/**
 * Makes the key that the VM is known by (docs/decisions/0030), once, and anew on another instance: an image that was
 * taken after the first boot must not give its key to all that start from it. It is on the disk before it is used.
 */
const MAKE_KEY_SCRIPT = `#!/bin/sh
set -eu
umask 077
id=$(cat ${INSTANCE_ID})
made_on=$(cat ${TLS_DIRECTORY}/instance-id 2>/dev/null || true)
test -n "$id"
if [ "$made_on" = "$id" ]; then
  exit 0
fi
mkdir -p ${TLS_DIRECTORY}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=$id" \\
  -keyout ${TLS_DIRECTORY}/key.pem -out ${TLS_DIRECTORY}/cert.pem
sync
echo "$id" >${TLS_DIRECTORY}/instance-id.new
mv ${TLS_DIRECTORY}/instance-id.new ${TLS_DIRECTORY}/instance-id
sync
`;

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function sliceUnit({ memoryPercent }: BuildkitGuest): string {
  return `[Unit]
Description=All that builds may take of this machine

[Slice]
CPUAccounting=yes
MemoryAccounting=yes
MemoryMax=${memoryPercent}%
`;
}

const CPU_UNIT = `[Unit]
Description=Limit builds to their share of the CPUs that this boot has
Before=buildkit.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${LIMIT_CPU}
`;

/**
 * Waits for the data volume, makes a file system on it if it holds nothing at all, and mounts it. Its device is that of
 * the attachment, or an EBS disk by the name that udev gives it, where it is NVMe (EC2 user guide, "Amazon EBS volumes
 * and NVMe"); the disk of the root file system is none of these. A machine that replaces another one finds its cache.
 */
const MOUNT_CACHE_SCRIPT = `#!/bin/sh
set -eu
root=$(lsblk -nro PKNAME "$(findmnt -nro SOURCE /)" | head -n 1)
find_disk() {
  for link in /dev/sdf /dev/xvdf /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol*; do
    case "$link" in *-part*) continue ;; esac
    disk=$(readlink -f "$link") || continue
    if [ -b "$disk" ] && [ "$disk" != "/dev/$root" ]; then
      echo "$disk"
      return
    fi
  done
}
disk=$(find_disk)
while [ -z "$disk" ]; do
  sleep 1
  disk=$(find_disk)
done
status=0
blkid -p "$disk" || status=$?
if [ "$status" -eq 2 ]; then
  mkfs.ext4 -q -m 0 "$disk"
elif [ "$status" -ne 0 ]; then
  echo "$disk cannot be looked into, so nothing is written to it" >&2
  exit 1
fi
mkdir -p ${CACHE}
mountpoint -q ${CACHE} || mount -o noatime "$disk" ${CACHE}
resize2fs "$disk"
`;

const CACHE_UNIT = `[Unit]
Description=Mount the data volume as BuildKit's cache
Before=buildkit.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=600
ExecStart=${MOUNT_CACHE}
`;

/** A build that runs out of memory ends alone: the daemon and other builds go on (OOMPolicy=continue). */
function daemonUnit({ version, tls, dataVolume }: BuildkitGuest): string {
  const needed = `buildkit-cpu.service${dataVolume === true ? " buildkit-cache.service" : ""}`;
  const check = version === undefined ? "" : `ExecStartPre=${CHECK_VERSION}\n`;
  const makeKey = tls === "Off" ? "" : `ExecStartPre=${MAKE_KEY}\n`;
  return `[Unit]
Description=BuildKit
Wants=network-online.target
After=network-online.target ${needed}
Requires=${needed}

[Service]
Type=notify
Slice=buildkit.slice
${check}${makeKey}ExecStart=buildkitd --config ${CONFIG}
Delegate=yes
KillMode=mixed
OOMPolicy=continue
OOMScoreAdjust=${OOM_SCORE_ADJUST}
LimitNOFILE=1048576
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`;
}
