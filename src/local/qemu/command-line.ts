import { createHash } from "node:crypto";
import { GUEST_PORT } from "./guest-files.ts";
import { FILES_ADDRESS, type GuestImage } from "./image.ts";
import type { InstanceFiles } from "./instance-store.ts";
import type { MachineShape } from "./machine-shape.ts";

/** One VM to start. */
export interface VmSpec {
  readonly id: string;
  readonly shape: MachineShape;
  /** Loopback address on which the guest's ports appear. */
  readonly address: string;
  /** TCP ports of the guest that are reachable from the host. */
  readonly ports: readonly number[];
  readonly files: InstanceFiles;
  /** What the volume was at first: empty, beside the image's root file system, or a copy of it. */
  readonly rootVolume: GuestImage["rootVolume"];
  /** Program that serves one metadata connection, with its arguments. */
  readonly metadataCommand: readonly string[];
  /** The same for the file that comes with the image. */
  readonly fileCommand?: readonly string[];
  /** File of the data volume; undefined: none is attached. */
  readonly dataVolume?: string;
  /** Wait for a memory image instead of booting. */
  readonly incoming: boolean;
}

/** Machine type; versioned, because a memory image must find the same hardware again. */
export const MACHINE = "pc-q35-7.2";

/**
 * Kernel arguments. Only trouble is printed (each character costs time under TCG), and a panic ends the VM.
 *
 * The rest is meant to save time at boot. What it switches off (CPU mitigations, KASLR, zeroing of pages,
 * security modules) guards users of one kernel from each other; here a kernel belongs to one tenant and the VM
 * is the border.
 *
 * No choice below is settled by measurement: each was run once or twice on a busy host with 2 cores, and one
 * configuration repeated differed by as much as two configurations did. CPU seconds of QEMU under TCG, one run
 * each: init reached after 2.7 with fewer of these arguments and 2.2 with all of them (2.8 in a second run);
 * service loaded, with all: 6.6, with qboot 5.1, uncompressed kernel 5.3, without HPET 5.3, pc-i440fx 5.2.
 * First start of Node.js: 1.2 with CPU model max, 2.1 with Nehalem and with qemu64. microvm can't calibrate the
 * TSC under TCG and hangs unless its frequency is given.
 */
const KERNEL_ARGUMENTS = [
  "console=ttyS0 quiet loglevel=3 panic=-1",
  "no_timer_check mitigations=off random.trust_cpu=on init_on_alloc=0 nosmap nosmep no5lvl nokaslr",
  "lsm= audit=0 randomize_kstack_offset=off 8250.nr_uarts=2 cryptomgr.notests rcupdate.rcu_expedited=1",
].join(" ");

/**
 * TCG keeps what it translated by virtual address. Where each process finds the same page of a library elsewhere, it translates
 * the page again for each, and once the page is written to, throws thousands of translations away one by one: the VM stood
 * still for up to 32 s after many forks. So addresses are not random there (Linux kernel parameters, "norandmaps"). On 2 cores
 * the first build of `make demo-buildkit` took 84 s with it and 129 s without.
 */
const TCG_ARGUMENTS = "norandmaps";

/**
 * QEMU's arguments for one VM. It daemonizes, so that a failure to start is an exit status and the VM outlives its
 * starter; it has no display, no default devices, and no network but the forwarded ports and the metadata
 * address (`restrict=on`).
 */
export function qemuArguments(spec: VmSpec): string[] {
  const { files, shape } = spec;
  return [
    ["-name", `satellite-${spec.id}`, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"],
    ["-daemonize", "-pidfile", files.pidFile],
    ["-machine", `${shape.machine},sata=off,smbus=off,usb=off,vmport=off`],
    ["-accel", shape.accelerator, "-cpu", shape.accelerator === "kvm" ? "host" : "max"],
    ["-smp", String(shape.vcpus), "-m", String(shape.memoryMiB), "-rtc", "base=utc,clock=host"],
    ["-smbios", `type=1,manufacturer=Amazon EC2,uuid=${systemUUID(spec.id)},serial=${systemUUID(spec.id)}`],
    ["-kernel", files.kernel, "-initrd", files.initramfs, "-append", kernelArguments(shape)],
    spec.rootVolume === "copy"
      ? []
      : disk("image", `file=${escapeOption(files.rootFilesystem)},format=raw,readonly=on`),
    disk("volume", `file=${escapeOption(files.disk)},format=raw,discard=unmap,detect-zeroes=unmap`),
    // Every VM has it, since a data volume may be attached while it runs; its place must not move the other devices.
    ["-device", `pcie-root-port,id=${DATA_DEVICE.bus},bus=pcie.0,chassis=1,addr=10.0`],
    spec.dataVolume === undefined
      ? []
      : ["-blockdev", JSON.stringify(dataNode(spec.dataVolume)), "-device", JSON.stringify(DATA_DEVICE)],
    ["-netdev", networkOption(spec), "-device", "virtio-net-pci,netdev=net,romfile="],
    ["-chardev", `file,id=console,path=${escapeOption(files.console)},append=on`],
    ["-device", "isa-serial,chardev=console,index=0"],
    ["-chardev", `socket,id=agent,path=${escapeOption(files.agentSocket)},server=on,wait=off`],
    ["-device", "isa-serial,chardev=agent,index=1"],
    ["-chardev", `socket,id=qmp,path=${escapeOption(files.qmpSocket)},server=on,wait=off`],
    ["-mon", "chardev=qmp,mode=control"],
    spec.incoming ? ["-S", "-incoming", "defer"] : [],
  ].flat();
}

/** The device of a data volume. Its serial number is the name that EC2 would give it, which the image makes /dev/sdf of. */
export const DATA_DEVICE = {
  driver: "virtio-blk-pci",
  id: "data",
  drive: "data-volume",
  bus: "data-port",
  serial: "sdf",
} as const;

/** The disk behind {@link DATA_DEVICE}, as `-blockdev` and QMP's `blockdev-add` take it. */
export function dataNode(file: string): Record<string, unknown> {
  return {
    "node-name": DATA_DEVICE.drive,
    driver: "raw",
    discard: "unmap",
    "detect-zeroes": "unmap",
    file: { driver: "file", filename: file, discard: "unmap" },
  };
}

/**
 * What tells a guest that it is on EC2: a UUID that begins with "ec2", and is the serial number too (EC2 user guide,
 * "Detect whether a host is an EC2 instance"; cloud-init, ds-identify).
 */
function systemUUID(id: string): string {
  const digits = createHash("sha256").update(id).digest("hex");
  return `ec2${digits.slice(0, 5)}-${digits.slice(5, 9)}-4${digits.slice(9, 12)}-8${digits.slice(12, 15)}-${digits.slice(15, 27)}`;
}

function disk(name: string, options: string): string[] {
  return ["-drive", `if=none,id=${name},${options}`, "-device", `virtio-blk-pci,drive=${name}`];
}

/**
 * The guest sits in 169.254.0.0/16, because QEMU forwards only addresses of the guest's own network and the
 * metadata service must appear at 169.254.169.254, where EC2 has it.
 *
 * A VM that is to be resumed forwards no port yet: QEMU would take connections while it loads the memory, and
 * drop them silently with the state of the network that it loads. They are refused until `Vm.forwardPorts`.
 */
function networkOption({ address, ports, metadataCommand, fileCommand, incoming }: VmSpec): string {
  const forwards = incoming ? [] : ports.map((port) => `hostfwd=${forwardRule(address, port)}`);
  const serve = (at: string, command: readonly string[]): string =>
    `guestfwd=tcp:${at}:80-cmd:${escapeOption(command.map(shellQuote).join(" "))}`;
  return [
    "user,id=net,net=169.254.0.0/16,restrict=on",
    ...forwards,
    serve("169.254.169.254", metadataCommand),
    ...(fileCommand === undefined ? [] : [serve(FILES_ADDRESS, fileCommand)]),
  ].join(",");
}

/** QEMU's rule that forwards a port of an address of this machine to the same port of the guest. */
export function forwardRule(address: string, port: number): string {
  return `tcp:${address}:${port}-:${port}`;
}

/** Ports that are forwarded unless the caller says otherwise. */
export const DEFAULT_PORTS: readonly number[] = [GUEST_PORT];

/** Doubles commas, as QEMU's option syntax wants them inside a value. */
export function escapeOption(value: string): string {
  return value.replaceAll(",", ",,");
}

/** Quotes a word for a POSIX shell; QEMU's network code splits its commands by the same rules. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function kernelArguments({ accelerator }: MachineShape): string {
  return accelerator === "tcg" ? `${KERNEL_ARGUMENTS} ${TCG_ARGUMENTS}` : KERNEL_ARGUMENTS;
}
