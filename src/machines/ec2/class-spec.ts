import type { ClassSpec, VolumeShape } from "../cloud.ts";
import { CloudError } from "../errors.ts";

/** Things chosen by identifier or by tags. */
export type Selection =
  | { readonly ids: readonly string[] }
  | { readonly tags: Readonly<Record<string, string>> };

/** How the image is found. */
export type ImageChoice =
  | { readonly id: string }
  | { readonly ssmParameter: string }
  | { readonly nameFilter: string; readonly owners: readonly string[] };

/** Name of EC2's block in `spec` of a SatelliteClass. */
export const BLOCK = "ec2";

/** `spec.ec2` of a SatelliteClass. */
export interface Ec2Block {
  readonly region: string;
  readonly roleARN?: string;
  readonly image: ImageChoice;
  readonly subnets: Selection;
  readonly securityGroups: Selection;
  readonly rootVolume: VolumeShape;
  readonly dataVolume?: VolumeShape;
  readonly instanceProfile?: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** The CRD's defaults, for classes that were not read from an API server. */
const DEFAULT_VOLUME = { sizeGiB: 40, type: "gp3" };

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads `spec.ec2`, which the CRD's schema has checked. What is still wrong is refused with its name.
 *
 * @throws CloudError of class `parameter`
 */
export function readBlock(classSpec: ClassSpec): Ec2Block {
  const block = blockOf(classSpec);
  const dataVolume = object(block, "dataVolume");
  return {
    ...readPlace(classSpec),
    image: readImage(object(block, "image") ?? invalid("image")),
    subnets: readSelection(block, "subnets"),
    securityGroups: readSelection(block, "securityGroups"),
    rootVolume: readVolume(object(block, "rootVolume") ?? {}),
    ...(dataVolume === undefined ? {} : { dataVolume: readVolume(dataVolume) }),
    tags: checkTags(strings(object(block, "tags") ?? {}, "tags")),
    ...optional("instanceProfile", string(block, "instanceProfile")),
  };
}

/** Account and region that a class's machines live in. @throws CloudError of class `parameter` */
export function readPlace(classSpec: ClassSpec): Pick<Ec2Block, "region" | "roleARN"> {
  const block = blockOf(classSpec);
  return {
    region: string(block, "region") ?? invalid("region"),
    ...optional("roleARN", string(block, "roleARN")),
  };
}

/** Whether the class has a data volume. @throws CloudError of class `parameter` */
export function hasDataVolume(classSpec: ClassSpec): boolean {
  return blockOf(classSpec)["dataVolume"] !== undefined;
}

/** GiB of root volumes as the class has them. @throws CloudError of class `parameter` */
export function rootVolumeGiB(classSpec: ClassSpec): number {
  return readVolume(object(blockOf(classSpec), "rootVolume") ?? {}).sizeGiB;
}

function blockOf(classSpec: ClassSpec): Fields {
  return object(classSpec, BLOCK) ?? invalid("region");
}

/** Most characters of a tag's key (EC2 user guide, "Tag restrictions"). */
const MAX_TAG_KEY = 128;

/** The CRD's schema limits values and number of tags; it cannot limit keys. */
function checkTags(tags: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const key of Object.keys(tags)) {
    const isReserved = key.toLowerCase().startsWith("aws:");
    if (isReserved || key === "" || key.length > MAX_TAG_KEY) {
      throw invalidClass(
        "InvalidTagKey",
        `spec.ec2.tags of the SatelliteClass has the key "${key.slice(0, MAX_TAG_KEY)}", which EC2 does not take: keys ` +
          `have 1 to ${MAX_TAG_KEY} characters and do not begin with "aws:"; correct it`,
      );
    }
  }
  return tags;
}

function readVolume(volume: Fields): VolumeShape {
  return {
    sizeGiB: number(volume, "sizeGiB") ?? DEFAULT_VOLUME.sizeGiB,
    type: string(volume, "type") ?? DEFAULT_VOLUME.type,
    ...optional("iops", number(volume, "iops")),
    ...optional("throughput", number(volume, "throughput")),
    ...optional("kmsKeyID", string(volume, "kmsKeyID")),
  };
}

function readImage(image: Fields): ImageChoice {
  const id = string(image, "id");
  if (id !== undefined) {
    return { id };
  }
  const ssmParameter = string(image, "ssmParameter");
  if (ssmParameter !== undefined) {
    return { ssmParameter };
  }
  const nameFilter = string(image, "nameFilter") ?? invalid("image");
  return { nameFilter, owners: list(image, "owners") ?? ["self"] };
}

function readSelection(block: Fields, field: "subnets" | "securityGroups"): Selection {
  const selection = object(block, field) ?? invalid(field);
  const ids = list(selection, "ids");
  if (ids !== undefined && ids.length > 0) {
    return { ids };
  }
  const tags = strings(object(selection, "tags") ?? invalid(field), field);
  return Object.keys(tags).length > 0 ? { tags } : invalid(field);
}

function optional<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [name in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [name in Key]: Value });
}

function string(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return value === undefined || typeof value === "string" ? value : invalid(name);
}

function number(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  return value === undefined || typeof value === "number" ? value : invalid(name);
}

function object(fields: Fields, name: string): Fields | undefined {
  const value = fields[name];
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return value === undefined || isObject ? (value as Fields | undefined) : invalid(name);
}

function list(fields: Fields, name: string): readonly string[] | undefined {
  const value = fields[name];
  const isList = Array.isArray(value) && value.every((item) => typeof item === "string");
  return value === undefined || isList ? value : invalid(name);
}

function strings(fields: Fields, name: string): Readonly<Record<string, string>> {
  return Object.values(fields).every((value) => typeof value === "string")
    ? (fields as Readonly<Record<string, string>>)
    : invalid(name);
}

function invalid(field: string): never {
  throw invalidClass(
    "InvalidClassSpec",
    `spec.ec2.${field} of the SatelliteClass is missing or malformed; correct it`,
  );
}

/** A refusal of the class itself, which holds until the class changes. */
export function invalidClass(code: string, message: string, reason = "InvalidClass"): CloudError {
  return new CloudError({ code, class: "parameter", reason, message });
}
