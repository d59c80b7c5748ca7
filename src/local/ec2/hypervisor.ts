/** What a hypervisor must know to run one instance. */
export interface InstanceSpec {
  readonly id: string;
  /** Loopback address (127.0.0.0/8) that is this instance's private address for life. */
  readonly privateAddress: string;
  readonly image: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly rootVolumeGiB: number;
  /** User data as the guest reads it from the metadata service; not base64. */
  readonly userData: string;
  /** Facts for the instance metadata service. */
  readonly metadata: {
    readonly instanceType: string;
    readonly zone: string;
    readonly region: string;
    readonly hostname: string;
    readonly tags: Readonly<Record<string, string>>;
  };
}

/** State of an instance's VM: it runs, its memory is saved on disk, or only its disk is there. */
export type VmState = "running" | "hibernated" | "stopped" | "missing";

/** Keeps the data volumes under the model. Every method is idempotent. */
export interface VolumeHost {
  /** Makes an empty disk. */
  create(volume: string, sizeGiB: number): Promise<void>;
  /** Gives a disk to an instance, whether its VM runs or not; it has it at each start from then on. */
  attach(volume: string, instance: string): Promise<void>;
  /** Takes it from an instance whose VM does not run, or that is gone. */
  detach(volume: string, instance: string): Promise<void>;
  remove(volume: string): Promise<void>;
}

/**
 * Runs the VMs under the instance model. Every method is idempotent and safe to call again after a crash of
 * the caller; VMs outlive the process that started them.
 */
export interface Hypervisor {
  /** Creates the disk and boots. Resolves when the VM's process runs, not when the guest is up. */
  launch(spec: InstanceSpec): Promise<void>;
  /** Boots, or resumes from the memory image when there is one. */
  start(spec: InstanceSpec): Promise<{ readonly resumed: boolean }>;
  /** Shuts the guest down; at once when `force`, and then no memory is kept. Resolves when the VM's process is gone. */
  stop(id: string, options: { readonly force: boolean }): Promise<void>;
  /** Saves memory and ends the VM's process. `hibernated: false` means that it was stopped instead. */
  hibernate(id: string): Promise<{ readonly hibernated: boolean }>;
  /** Ends the VM and removes all its files. */
  terminate(id: string): Promise<void>;
  /** Data volumes; undefined where VMs have none. */
  readonly volumes?: VolumeHost;
  /** The newest output of the VM's serial console, `maxBytes` of it at most; nothing where there is none. */
  consoleTail(id: string, maxBytes: number): Promise<Buffer>;
  /** What is there now. */
  state(id: string): Promise<VmState>;
  /** Calls `listener` when a VM's process ends without having been asked to. */
  onExit(listener: (id: string) => void): void;
  /** Images that instances can boot. */
  images(): readonly {
    readonly id: string;
    readonly name: string;
    readonly architecture: "x86_64" | "arm64";
  }[];
}
