import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SatelliteError } from "../../base/errors.ts";
import type { Kernel } from "./kernel-package.ts";
import { runTool } from "./run-tool.ts";

/** Packages of Debian's cloud images that BuildKit's user data relies on. */
export const STOCK_PACKAGES: readonly string[] = [
  "systemd-sysv",
  "udev",
  "dbus",
  "kmod",
  "iproute2",
  "isc-dhcp-client",
  "e2fsprogs",
  "openssl",
  "ca-certificates",
  "openssh-server",
  "cloud-init",
  // Debian names it by a virtual package, which debootstrap does not follow.
  "python3-cffi-backend",
  "qemu-guest-agent",
];

/**
 * What makes a Debian tree the root of a VM here: where its root is, and an agent on the second serial port, by which
 * the hypervisor sets the time after a pause and asks for a shutdown, as EC2 does by other means.
 */
export const STOCK_FILES: Readonly<Record<string, string>> = {
  "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
  "etc/hostname": "localhost\n",
  // The only locale that need not be generated.
  "etc/cloud/cloud.cfg.d/10_locale.cfg": "locale: C.UTF-8\n",
  // As the rules of Amazon's images name EBS's disks; the hypervisor gives its data volume that serial number.
  "etc/udev/rules.d/70-data-volume.rules":
    'SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", ATTR{serial}=="sdf", SYMLINK+="sdf"\n',
  // Empty: made anew at each instance's first boot (machine-id(5), "First Boot Semantics").
  "etc/machine-id": "",
  "etc/systemd/system/serial-agent.service": `[Unit]
Description=Agent of the hypervisor

[Service]
ExecStart=/usr/sbin/qemu-ga --method=isa-serial --path=/dev/ttyS1
Restart=always

[Install]
WantedBy=multi-user.target
`,
};

/** Services that are enabled beside those that Debian's packages enable. */
export const SERVICES = ["serial-agent.service", "systemd-networkd.service"];

/** Debian's release that apt on this machine knows, such as "bookworm". @throws SatelliteError `NotDebian` */
export async function debianRelease(): Promise<string> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1];
  if (release === undefined || !/^ID=debian$/m.test(text)) {
    throw new SatelliteError(
      "NotDebian",
      "a stock image is made with Debian's own tools; run this on Debian",
    );
  }
  return release;
}

/**
 * Makes a stock Debian tree at `root`, which must not exist.
 *
 * @throws SatelliteError `RootNeeded`; `ToolFailed` with debootstrap's last lines
 */
export async function bootstrapDebian(root: string, release: string, debootstrap: string): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new SatelliteError(
      "RootNeeded",
      "debootstrap makes device files and changes roots: run this as root",
    );
  }
  const packages = STOCK_PACKAGES.join(",");
  await runTool(debootstrap, ["--variant=minbase", `--include=${packages}`, release, root]);
  // The downloaded packages are not needed again.
  await rm(join(root, "var/cache/apt/archives"), { recursive: true });
  await mkdir(join(root, "var/cache/apt/archives/partial"), { recursive: true });
}

/** Fits a Debian tree to the kernel and the hardware of the VMs here. */
export async function fitToVm(root: string, kernel: Kernel): Promise<void> {
  await cp(kernel.modules, join(root, "usr/lib/modules", kernel.release), { recursive: true });
  await runTool("chroot", [root, "depmod", kernel.release]);
  for (const [name, content] of Object.entries(STOCK_FILES)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
  await runTool("chroot", [root, "systemctl", "enable", ...SERVICES]);
}
