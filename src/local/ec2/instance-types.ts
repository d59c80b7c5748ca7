/** What the model knows of an instance type. */
export interface InstanceType {
  readonly name: string;
  readonly architecture: "x86_64" | "arm64";
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly hibernationSupported: boolean;
  readonly bareMetal: boolean;
}

/** CPUs and memory that a guest really gets, where that is less than its type promises. */
export interface GuestSize {
  readonly vcpus: number;
  readonly memoryMiB: number;
}

function type(
  name: string,
  architecture: InstanceType["architecture"],
  vcpus: number,
  memoryGiB: number,
  hibernationSupported: boolean,
): InstanceType {
  const bareMetal = name.includes("metal");
  return { name, architecture, vcpus, memoryMiB: memoryGiB * 1024, hibernationSupported, bareMetal };
}

/**
 * Types that the endpoint offers by default, with the sizes of the EC2 user guide ("Instance type
 * specifications"). Some cannot hibernate, and one is bare metal, so that callers must ask.
 */
export const DEFAULT_INSTANCE_TYPES: readonly InstanceType[] = [
  type("t3.micro", "x86_64", 2, 1, true),
  type("t3.small", "x86_64", 2, 2, true),
  type("t3.medium", "x86_64", 2, 4, true),
  type("m7i.large", "x86_64", 2, 8, true),
  type("m7i.xlarge", "x86_64", 4, 16, true),
  type("m7i.2xlarge", "x86_64", 8, 32, true),
  type("m7i.48xlarge", "x86_64", 192, 768, true),
  type("m7a.large", "x86_64", 2, 8, true),
  type("m7a.xlarge", "x86_64", 4, 16, true),
  type("c7i.large", "x86_64", 2, 4, true),
  type("c7i.xlarge", "x86_64", 4, 8, true),
  type("c7a.large", "x86_64", 2, 4, true),
  type("g5.xlarge", "x86_64", 4, 16, false),
  type("m5.metal", "x86_64", 96, 384, false),
  type("t4g.small", "arm64", 2, 2, true),
  type("m7g.large", "arm64", 2, 8, true),
  type("m7g.xlarge", "arm64", 4, 16, true),
  type("c7g.large", "arm64", 2, 4, true),
  type("m6gd.large", "arm64", 2, 8, false),
];
