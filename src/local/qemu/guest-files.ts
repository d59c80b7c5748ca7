/** Where things lie in the guest, and the two scripts that bring it up. */

/** TCP port of the guest service. */
export const GUEST_PORT = 8372;
/** The guest's address in QEMU's user network: the first one that its DHCP server would give out. */
export const GUEST_ADDRESS = "169.254.2.15";
export const GUEST_PROGRAM_DIRECTORY = "opt/satellites";
/** User and group of the commands. */
export const COMMAND_USER_ID = 1000;

const NODE_PATH = "/usr/bin/node";

/**
 * First process, run from the initramfs: loads the drivers and moves on to the image's root file system, which
 * lies on a disk so that only those pages of Node.js are read that are used.
 */
export function earlyInit(modules: readonly string[]): string {
  return `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
for module in ${modules.join(" ")}; do $bb insmod /modules/$module.ko; done
$bb mount -t ext4 -o ro,noload /dev/vda /root
$bb mount --move /dev /root/dev
$bb mount --move /proc /root/proc
exec $bb switch_root /root /sbin/init
`;
}

/** The same for an image whose root file system is the instance's own volume: its init is systemd. */
export function stockInit(modules: readonly string[]): string {
  return `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
for module in ${modules.join(" ")}; do $bb insmod /modules/$module.ko; done
$bb mount -t ext4 -o rw /dev/vda /root
$bb mount --move /dev /root/dev
$bb mount --move /proc /root/proc
exec $bb switch_root /root /sbin/init
`;
}

/**
 * Init of the image. It stays the first process (so it reaps orphans), starts the service, starts it again
 * when it crashes, and powers the VM off when it ends well.
 */
export function mainInit(entry: string): string {
  return `#!/bin/busybox sh
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t ext4 -o noatime /dev/vdb /disk || { echo "root volume can't be mounted"; poweroff -f; }
mkdir -p /disk/work /disk/tmp
chown ${COMMAND_USER_ID}:${COMMAND_USER_ID} /disk/work
chmod 1777 /disk/tmp
mount --bind /disk/work /work
mount --bind /disk/tmp /tmp
ip link set lo up
ip addr add ${GUEST_ADDRESS}/16 dev eth0
ip link set eth0 up
stty -F /dev/ttyS1 raw -echo
while :; do
  ${NODE_PATH} /${GUEST_PROGRAM_DIRECTORY}/${entry} --port ${GUEST_PORT} --work /work --uid ${COMMAND_USER_ID} \\
    --serial /dev/ttyS1 --cgroup /sys/fs/cgroup && break
  echo "guest service ended with status $?; starting it again"
  sleep 1
done
umount /tmp /work
umount /disk || mount -o remount,ro /disk
sync
poweroff -f
`;
}

/** Files of /etc: enough for tools that ask who and where they are. */
export const ETC_FILES: Readonly<Record<string, string>> = {
  passwd: `root:x:0:0:root:/root:/bin/sh\nsatellite:x:${COMMAND_USER_ID}:${COMMAND_USER_ID}:satellite:/work:/bin/sh\n`,
  group: `root:x:0:\nsatellite:x:${COMMAND_USER_ID}:\n`,
  hosts: "127.0.0.1 localhost\n",
  "nsswitch.conf": "hosts: files dns\n",
};
