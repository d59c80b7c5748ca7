import {
  DescribeImagesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  type Image,
  type InstanceTypeInfo,
} from "@aws-sdk/client-ec2";
import { GetParameterCommand } from "@aws-sdk/client-ssm";
import type { Clock } from "../../base/clock.ts";
import type { AwsClients } from "./aws-clients.ts";
import { invalidClass, type ImageChoice, type Selection } from "./class-spec.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import { TtlCache } from "./ttl-cache.ts";

/** What a launch must know of an image. */
export interface ImageFacts {
  readonly id: string;
  readonly architecture: "amd64" | "arm64";
  readonly rootDeviceName: string;
  /** Size of the image's own root volume. */
  readonly rootSizeGiB: number;
  /** Hibernation needs an EBS root and hardware virtualization (EC2 user guide, "Prerequisites"). */
  readonly canHibernate: boolean;
}

/** What a launch must know of an instance type. */
export interface TypeFacts {
  readonly name: string;
  readonly architectures: readonly string[];
  readonly memoryMiB: number;
  readonly canHibernate: boolean;
}

/** A subnet to launch in. */
export interface SubnetFacts {
  readonly id: string;
  readonly zone: string;
  readonly freeAddresses: number;
}

/** Images that are chosen by name or parameter, and networks, may change: they are read again after this time. */
const RESOLVED_TTL_MS = 5 * 60_000;
/** Types, and images by ID, hardly ever change. */
const FACTS_TTL_MS = 6 * 3_600_000;
/** A Linux instance can hibernate with less memory than this (EC2 user guide, "Prerequisites for hibernation"). */
const MAX_HIBERNATION_MIB = 150 * 1024;
/** Most groups that a network interface can have, whatever its quota (Amazon VPC user guide, "Amazon VPC quotas"). */
const MAX_SECURITY_GROUPS = 16;

/** What a region has for launches: images, types, subnets, security groups. Reads are cached. */
export class Catalogue {
  readonly #clients: AwsClients;
  readonly #calls: Ec2Calls;
  readonly #resolved: TtlCache;
  readonly #facts: TtlCache;

  constructor(clients: AwsClients, calls: Ec2Calls, clock: Clock) {
    this.#clients = clients;
    this.#calls = calls;
    this.#resolved = new TtlCache(clock, RESOLVED_TTL_MS);
    this.#facts = new TtlCache(clock, FACTS_TTL_MS);
  }

  /** Forgets images and networks, so that they are read again. */
  forgetResolved(): void {
    this.#resolved.clear();
  }

  /**
   * The image that a class chooses for an architecture.
   *
   * @throws CloudError of class `parameter` when there is none, or it has another architecture
   */
  async image(choice: ImageChoice, architecture: "amd64" | "arm64"): Promise<ImageFacts> {
    const id = await this.#imageId(choice, architecture);
    const facts = await this.imageFacts(id);
    if (facts.architecture !== architecture) {
      throw invalidClass(
        "ImageArchitectureMismatch",
        `image ${id} is for ${facts.architecture}, but the satellite is ${architecture}; ` +
          "let spec.ec2.image of the SatelliteClass choose by architecture, or use a class for each",
        "ImageNotFound",
      );
    }
    return facts;
  }

  /** Facts of one image. @throws CloudError */
  imageFacts(id: string): Promise<ImageFacts> {
    return this.#facts.get(`image/${id}`, async () => {
      const images = await this.#read("DescribeImages", (signal) =>
        this.#clients.read.send(new DescribeImagesCommand({ ImageIds: [id] }), { abortSignal: signal }),
      );
      const [image] = images.Images ?? [];
      if (image === undefined) {
        throw invalidClass(
          "InvalidAMIID.NotFound",
          `image ${id} does not exist in this region or is not shared with the account; ` +
            "correct spec.ec2.image of the SatelliteClass",
          "ImageNotFound",
        );
      }
      return toImageFacts(image);
    });
  }

  /** Those of `names` that the region has, in the same order. @throws CloudError */
  async types(names: readonly string[]): Promise<TypeFacts[]> {
    const found = await Promise.all(names.map((name) => this.#type(name)));
    return found.filter((type) => type !== undefined);
  }

  /** Zones that have a type. @throws CloudError */
  zonesOf(type: string): Promise<ReadonlySet<string>> {
    return this.#facts.get(`offerings/${type}`, async () => {
      const command = new DescribeInstanceTypeOfferingsCommand({
        LocationType: "availability-zone",
        Filters: [{ Name: "instance-type", Values: [type] }],
      });
      const { InstanceTypeOfferings = [] } = await this.#read("DescribeInstanceTypeOfferings", (signal) =>
        this.#clients.read.send(command, { abortSignal: signal }),
      );
      return new Set(InstanceTypeOfferings.map(({ Location }) => Location ?? ""));
    });
  }

  /** The subnets with IPv4 that a class chooses. @throws CloudError of class `parameter` when there is none */
  subnets(selection: Selection): Promise<SubnetFacts[]> {
    return this.#resolved.get(`subnets/${JSON.stringify(selection)}`, async () => {
      const command = new DescribeSubnetsCommand(
        "ids" in selection ? { SubnetIds: [...selection.ids] } : { Filters: tagFilters(selection.tags) },
      );
      const { Subnets = [] } = await this.#read("DescribeSubnets", (signal) =>
        this.#clients.read.send(command, { abortSignal: signal }),
      );
      if (Subnets.length === 0) {
        throw notFound("subnets");
      }
      // Routers and operator reach machines by their private IPv4 address; dual-stack subnets give one, too.
      const usable = Subnets.filter(({ Ipv6Native }) => Ipv6Native !== true);
      if (usable.length === 0) {
        throw invalidClass(
          "SubnetIPv6Only",
          "all subnets that spec.ec2.subnets of the SatelliteClass chooses are IPv6-only, where machines get no " +
            "private IPv4 address; this is not supported, so choose subnets with IPv4 (dual-stack ones will do)",
          "SubnetIPv6Only",
        );
      }
      return usable.map((subnet) => ({
        id: subnet.SubnetId ?? "",
        zone: subnet.AvailabilityZone ?? "",
        freeAddresses: subnet.AvailableIpAddressCount ?? 0,
      }));
    });
  }

  /** The security groups that a class chooses. @throws CloudError of class `parameter` when there is none */
  securityGroups(selection: Selection): Promise<string[]> {
    return this.#resolved.get(`groups/${JSON.stringify(selection)}`, async () => {
      const command = new DescribeSecurityGroupsCommand(
        "ids" in selection ? { GroupIds: [...selection.ids] } : { Filters: tagFilters(selection.tags) },
      );
      const { SecurityGroups = [] } = await this.#read("DescribeSecurityGroups", (signal) =>
        this.#clients.read.send(command, { abortSignal: signal }),
      );
      if (SecurityGroups.length === 0) {
        throw notFound("securityGroups");
      }
      if (SecurityGroups.length > MAX_SECURITY_GROUPS) {
        throw invalidClass(
          "SecurityGroupsPerInterfaceLimitExceeded",
          `spec.ec2.securityGroups of the SatelliteClass matches ${SecurityGroups.length} groups, and a machine can have ` +
            `${MAX_SECURITY_GROUPS} at most; narrow its tags, or give ids`,
        );
      }
      return SecurityGroups.map(({ GroupId }) => GroupId ?? "").sort();
    });
  }

  async #imageId(choice: ImageChoice, architecture: "amd64" | "arm64"): Promise<string> {
    if ("id" in choice) {
      return choice.id;
    }
    return "ssmParameter" in choice
      ? this.#parameter(choice.ssmParameter.replaceAll("{architecture}", architecture))
      : this.#newestImage(choice.nameFilter, choice.owners, architecture);
  }

  #parameter(name: string): Promise<string> {
    return this.#resolved.get(`parameter/${name}`, async () => {
      const { Parameter } = await this.#read("GetParameter", (signal) =>
        this.#clients.ssm.send(new GetParameterCommand({ Name: name }), { abortSignal: signal }),
      );
      return Parameter?.Value ?? "";
    });
  }

  #newestImage(
    nameFilter: string,
    owners: readonly string[],
    architecture: "amd64" | "arm64",
  ): Promise<string> {
    const key = `newest/${nameFilter}/${owners.join(",")}/${architecture}`;
    return this.#resolved.get(key, async () => {
      const command = new DescribeImagesCommand({
        Owners: [...owners],
        Filters: [
          { Name: "name", Values: [nameFilter] },
          { Name: "architecture", Values: [EC2_ARCHITECTURE[architecture]] },
          { Name: "state", Values: ["available"] },
        ],
      });
      const { Images = [] } = await this.#read("DescribeImages", (signal) =>
        this.#clients.read.send(command, { abortSignal: signal }),
      );
      const newest = Images.reduce<Image | undefined>(newer, undefined);
      if (newest?.ImageId === undefined) {
        throw invalidClass(
          "ImageNotFound",
          `no available image for ${architecture} is named "${nameFilter}" and owned by ${owners.join(", ")}; ` +
            "correct spec.ec2.image of the SatelliteClass",
          "ImageNotFound",
        );
      }
      return newest.ImageId;
    });
  }

  /** One type at a time, since EC2 refuses a whole request when the region lacks one of its types. */
  #type(name: string): Promise<TypeFacts | undefined> {
    return this.#facts.get(`type/${name}`, async () => {
      const command = new DescribeInstanceTypesCommand({
        Filters: [{ Name: "instance-type", Values: [name] }],
      });
      const { InstanceTypes = [] } = await this.#read("DescribeInstanceTypes", (signal) =>
        this.#clients.read.send(command, { abortSignal: signal }),
      );
      const [type] = InstanceTypes;
      return type === undefined ? undefined : toTypeFacts(name, type);
    });
  }

  #read<T>(action: string, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#calls.call({
      action,
      bucket: "Other",
      kind: "read",
      priority: "housekeeping",
      send,
    });
  }
}

/** EC2's names of the architectures. */
const EC2_ARCHITECTURE = { amd64: "x86_64", arm64: "arm64" } as const;

/** The architecture as Kubernetes names it, from EC2's name. */
export function toArchitecture(ec2Name: string | undefined): "amd64" | "arm64" {
  return ec2Name?.startsWith("arm64") === true ? "arm64" : "amd64";
}

function newer(best: Image | undefined, image: Image): Image {
  const isNewer = best === undefined || (image.CreationDate ?? "") > (best.CreationDate ?? "");
  return isNewer ? image : best;
}

function toImageFacts(image: Image): ImageFacts {
  const rootDeviceName = image.RootDeviceName ?? "/dev/xvda";
  const root = image.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === rootDeviceName);
  return {
    id: image.ImageId ?? "",
    architecture: toArchitecture(image.Architecture),
    rootDeviceName,
    rootSizeGiB: root?.Ebs?.VolumeSize ?? 0,
    canHibernate: image.RootDeviceType === "ebs" && image.VirtualizationType === "hvm",
  };
}

function toTypeFacts(name: string, type: InstanceTypeInfo): TypeFacts {
  const memoryMiB = type.MemoryInfo?.SizeInMiB ?? 0;
  return {
    name,
    architectures: (type.ProcessorInfo?.SupportedArchitectures ?? []).map(toArchitecture),
    memoryMiB,
    canHibernate:
      type.HibernationSupported === true && type.BareMetal !== true && memoryMiB < MAX_HIBERNATION_MIB,
  };
}

function tagFilters(tags: Readonly<Record<string, string>>): { Name: string; Values: string[] }[] {
  return Object.entries(tags).map(([key, value]) => ({ Name: `tag:${key}`, Values: [value] }));
}

function notFound(field: "subnets" | "securityGroups"): Error {
  return invalidClass(
    "NetworkNotFound",
    `spec.ec2.${field} of the SatelliteClass matches nothing in this region; correct its ids or tags`,
    "NetworkNotFound",
  );
}
