import { CONSOLE_MARK, FAILURE_MARK } from "../guest-words.ts";
import type { BuildkitGuest } from "./guest.ts";
import * as at from "./paths.ts";
import { DAEMON_MIN_MIB } from "./units.ts";

/** On shortage the kernel ends builds before anything else (proc(5), "oom_score_adj"; 0 is the guest's own services). */
const BUILD_OOM_SCORE = 500;

/**
 * Installs the archive of archive.json unless the image has that version already. It is written in Python, which every image
 * with cloud-init has; curl and wget may be missing. How it ended, and each attempt that fails, is also said on the console,
 * which the operator reads where the port stays silent. The programs have the paths that BuildKit's own image gives them, too:
 * clients of other BuildKits name some by these (EarthBuild's: /usr/bin/earth_debugger).
 */
export const INSTALL_SCRIPT = `#!/usr/bin/python3
import hashlib, http.client, io, json, os, platform, ssl, subprocess, sys, tarfile, time, urllib.request

BIN, LINKS, MARK = "/usr/local/bin/", "/usr/bin/", "/usr/local/lib/satellites-buildkit.sha256"
ATTEMPTS = 6

def say(text):
    try:
        with open("/dev/console", "a") as console:
            console.write("${CONSOLE_MARK}%s\\n" % text)
    except OSError:
        pass

def say_why(reason):
    say("${FAILURE_MARK}BuildKit cannot be installed: %s" % reason)

def fail(reason):
    say_why(reason)
    sys.exit(reason)

def unforeseen(kind, error, trace):
    say_why("%s: %s" % (kind.__name__, error))
    sys.__excepthook__(kind, error, trace)

sys.excepthook = unforeseen

def held():
    try:
        words = subprocess.run(["buildkitd", "--version"], stdout=subprocess.PIPE, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return words[2].decode().lstrip("v") if len(words) > 2 else "unknown"

def download(url):
    context = ssl.create_default_context()
    if os.path.exists("${at.CA_DIRECTORY}/ca.pem"):
        context.load_verify_locations("${at.CA_DIRECTORY}/ca.pem")
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(url, timeout=60, context=context) as answer:
                return answer.read()
        except (OSError, http.client.HTTPException) as error:
            reason = "%s: %s" % (url, error)
            if attempt == ATTEMPTS - 1:
                fail(reason)
            say_why(reason + "; it is tried again")
            time.sleep(2 ** attempt)

with open("${at.ARCHIVE}") as file:
    wanted = json.load(file)
machine = platform.machine()
architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
digest = wanted["sha256"].get(architecture, "").lower()
mark = ""
if os.path.exists(MARK):
    with open(MARK) as file:
        mark = file.read()
found = held()
if (digest and mark == digest) or found == wanted["version"]:
    say("BuildKit %s is installed" % found)
    sys.exit()
if not digest:
    fail("the image holds buildkitd %s instead of %s, and spec.guest.archive.sha256 has none for %s"
         % (found, wanted["version"], architecture))
url = wanted["url"].replace("{architecture}", architecture)
archive = download(url)
got = hashlib.sha256(archive).hexdigest()
if got != digest:
    fail("%s has the SHA-256 %s instead of %s" % (url, got, digest))
with tarfile.open(None, "r:gz", io.BytesIO(archive)) as tar:
    for member in tar:
        name = os.path.basename(member.name)
        if member.isfile() and os.path.dirname(member.name).lstrip("./") == "bin":
            path, link = BIN + name, LINKS + name
            with open(path + ".new", "wb") as program:
                program.write(tar.extractfile(member).read())
                os.fchmod(program.fileno(), 0o755)
            os.replace(program.name, path)
            if not os.path.lexists(link):
                os.symlink(path, link)
if held() == "none":
    fail("%s holds no bin/buildkitd that runs here" % url)
os.sync()
with open(MARK, "w") as file:
    file.write(digest)
say("BuildKit %s is installed" % held())
`;

/**
 * Makes the key that the VM is known by (docs/decisions/0030), once for each instance: an image that was made after the first
 * boot must not give its key to every machine that starts from it. The key is on the disk before it is used.
 */
export const MAKE_KEY_SCRIPT = `#!/bin/sh
set -eu
umask 077
id=$(cat ${at.INSTANCE_ID})
made_on=$(cat ${at.TLS_DIRECTORY}/instance-id 2>/dev/null || true)
test -n "$id"
if [ "$made_on" = "$id" ]; then
  exit 0
fi
mkdir -p ${at.TLS_DIRECTORY}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=$id" \\
  -keyout ${at.TLS_DIRECTORY}/key.pem -out ${at.TLS_DIRECTORY}/cert.pem
sync
echo "$id" >${at.TLS_DIRECTORY}/instance-id.new
mv ${at.TLS_DIRECTORY}/instance-id.new ${at.TLS_DIRECTORY}/instance-id
sync
`;

/** What builds and BuildKit get on the smallest machine: 64 MiB are for builds. */
const MIN_ALL_MIB = DAEMON_MIN_MIB + 64;

/**
 * Computes the limits at each boot, since the instance type may change. systemd takes CPUQuota in percent of one CPU
 * (systemd.resource-control(5)). At least 192 MiB of memory are left to the system, and an eighth of the rest, 160 to
 * 256 MiB, is the daemon's alone. The quota of processors holds for builds: what they take beyond it, as in one long call
 * of the kernel, is held back from them later, and would be from the daemon, too.
 */
export function limitScript({ cpuPercent, memoryPercent, swapPercent }: BuildkitGuest): string {
  return `#!/bin/sh
set -eu
total=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
all=$(( total * ${memoryPercent} / 100 ))
[ "$all" -le $(( total - 192 )) ] || all=$(( total - 192 ))
[ "$all" -ge ${MIN_ALL_MIB} ] || all=${MIN_ALL_MIB}
daemon=$(( all / 8 ))
[ "$daemon" -ge ${DAEMON_MIN_MIB} ] || daemon=${DAEMON_MIN_MIB}
[ "$daemon" -le 256 ] || daemon=256
systemctl set-property --runtime ${at.SLICE} "MemoryMax=\${all}M" \\
  "MemorySwapMax=$(( total * ${swapPercent} / 100 ))M"
systemctl set-property --runtime ${at.BUILDS_SLICE} "MemoryMax=$(( all - daemon ))M" \\
  "CPUQuota=$(( $(nproc) * ${cpuPercent} ))%"
`;
}

/** Runs a build's container so that it is the first to be ended when memory runs out, and cannot change that. */
export const RUN_BUILD_SCRIPT = `#!/bin/sh
echo ${BUILD_OOM_SCORE} >/proc/self/oom_score_adj
if command -v buildkit-runc >/dev/null; then
  exec buildkit-runc "$@"
fi
exec runc "$@"
`;

/**
 * Waits for the data volume, makes a file system on it if it is empty, and mounts it. Its device has the name of the
 * attachment or, where it is NVMe, the one that udev gives to EBS disks (EC2 user guide, "Amazon EBS volumes and NVMe"); the
 * disk of the root file system is left alone. On a machine that replaces another one the cache is there already.
 */
export const MOUNT_CACHE_SCRIPT = `#!/bin/sh
set -eu
source=$(findmnt -nro SOURCE /)
root=$(lsblk -nro PKNAME "$source" | head -n 1)
root=\${root:-\${source#/dev/}}
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
say() {
  echo "${CONSOLE_MARK}$1" >/dev/console || true
}
disk=$(find_disk)
waited=0
while [ -z "$disk" ]; do
  waited=$(( waited + 1 ))
  if [ "$waited" -eq 60 ]; then
    say "${FAILURE_MARK}no data volume has been attached for a minute; it is waited for"
  fi
  sleep 1
  disk=$(find_disk)
done
status=0
blkid -p "$disk" || status=$?
if [ "$status" -eq 2 ]; then
  mkfs.ext4 -q -m 0 "$disk"
elif [ "$status" -ne 0 ]; then
  say "${FAILURE_MARK}the data volume $disk cannot be looked into, so nothing is written to it"
  exit 1
fi
mkdir -p ${at.CACHE}
mountpoint -q ${at.CACHE} || mount -o noatime "$disk" ${at.CACHE}
resize2fs "$disk"
`;

/**
 * Keeps a file whose space is given back when the disk is full: BuildKit notes in a database what garbage it collects, and
 * without space for that the disk would stay full. Builds stand still meanwhile (cgroup v2, "cgroup.freeze"), so that they
 * cannot take the space. Where all of it is in use by builds, nothing is collected, the file is made again, and they fail.
 */
export function keepSpaceScript({ diskReservePercent }: BuildkitGuest): string {
  return `#!/bin/sh
ballast=${at.CACHE}/.ballast
freezer=/sys/fs/cgroup/${at.SLICE}/${at.BUILDS_SLICE}/cgroup.freeze
mib() {
  df --output=$1 --block-size=1M ${at.CACHE} | tail -n 1
}
while :; do
  if [ -e $ballast ] && [ "$(mib avail)" -lt 16 ]; then
    echo 1 >$freezer
    rm $ballast
    timeout 60 buildctl prune --free-storage $(( $(mib size) * ${diskReservePercent} / 100 )) >/dev/null
    fallocate -l 64M $ballast
    echo 0 >$freezer
  elif [ ! -e $ballast ] && [ "$(mib avail)" -gt 256 ]; then
    fallocate -l 64M $ballast
  fi
  sleep 10
done
`;
}
