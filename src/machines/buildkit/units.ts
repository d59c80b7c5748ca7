import type { BuildkitGuest } from "./guest.ts";
import * as at from "./paths.ts";

/** The daemon answers the operator's probe, so the kernel ends nearly everything else before it (sshd has -1000). */
const DAEMON_OOM_SCORE = -900;

/**
 * Memory of the daemon that the kernel does not reclaim for builds (Linux cgroup-v2, "memory.min"): its code and its heap.
 * What builds have themselves cannot be reclaimed without swap, so the daemon would read its code from the disk again and
 * again, and answer too late. In MiB; it counts only as far as the slice around the daemon has the same.
 */
export const DAEMON_MIN_MIB = 160;

/** Builds give way to the rest of the system where both want the processors or the disk. */
export const SLICE_UNIT = `[Unit]
Description=What BuildKit and builds may take

[Slice]
CPUAccounting=yes
CPUWeight=50
IOWeight=50
MemoryMin=${DAEMON_MIN_MIB}M
`;

/** `MemoryMax` of both slices, and the `CPUQuota` of this one, are set at each boot (scripts.ts). */
export function buildsSliceUnit({ maxProcesses }: BuildkitGuest): string {
  return `[Unit]
Description=Builds, which give way to the daemon

[Slice]
CPUWeight=10
TasksMax=${maxProcesses}
`;
}

export const LIMIT_UNIT = `[Unit]
Description=Limit builds to their share
Requires=${at.SLICE} ${at.BUILDS_SLICE}
After=${at.SLICE} ${at.BUILDS_SLICE}
Before=buildkit.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${at.LIMIT}
`;

export const CACHE_UNIT = `[Unit]
Description=Mount the data volume as BuildKit's cache
Before=buildkit.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=600
ExecStart=${at.MOUNT_CACHE}
`;

/** Builds that it has stopped go on in any case. */
export function spaceUnit({ dataVolume }: BuildkitGuest): string {
  const cache = dataVolume === true ? "Requires=buildkit-cache.service\n" : "";
  return `[Unit]
Description=Keep space for BuildKit's garbage collection
After=buildkit.service buildkit-cache.service
${cache}
[Service]
ExecStart=${at.KEEP_SPACE}
ExecStopPost=-/bin/sh -c 'echo 0 >/sys/fs/cgroup/${at.SLICE}/${at.BUILDS_SLICE}/cgroup.freeze'
OOMScoreAdjust=${DAEMON_OOM_SCORE}
Restart=always
RestartSec=5
`;
}

/**
 * The daemon. The download of the archive may take minutes, and what fails is repeated as long as the machine runs. A build
 * that runs out of memory ends alone: the daemon and other builds go on (OOMPolicy=continue). Builds are not in the cgroup of
 * the service, so when the daemon dies they are ended by the name of their slice. Its worker bears the ID of the boot
 * (systemd.unit, "Specifiers"), by which the operator notices that memory was lost.
 */
export function daemonUnit({ tls, dataVolume }: BuildkitGuest): string {
  const needed = `buildkit-limit.service${dataVolume === true ? " buildkit-cache.service" : ""}`;
  const makeKey = tls === "Off" ? "" : `ExecStartPre=${at.MAKE_KEY}\n`;
  return `[Unit]
Description=BuildKit
Wants=network-online.target buildkit-space.service
After=network-online.target ${needed}
Requires=${needed}
StartLimitIntervalSec=0

[Service]
Type=notify
Slice=${at.SLICE}
EnvironmentFile=-${at.ENVIRONMENT}
ExecStartPre=${at.INSTALL}
${makeKey}ExecStart=buildkitd --config ${at.CONFIG} --oci-worker-labels dev.satellites.boot-id=%b
ExecStopPost=-systemctl kill --signal=SIGKILL ${at.BUILDS_SLICE}
Delegate=yes
KillMode=mixed
OOMPolicy=continue
OOMScoreAdjust=${DAEMON_OOM_SCORE}
CPUWeight=1000
MemoryMin=${DAEMON_MIN_MIB}M
LimitNOFILE=1048576
TasksMax=infinity
TimeoutStartSec=900
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
`;
}
