import { createHash } from "node:crypto";
import type { LaunchPlan, LaunchRequest, ResolvedLaunch } from "../cloud.ts";
import type { Catalogue, ImageFacts, SubnetFacts } from "./catalogue.ts";
import { type Ec2Block, invalidClass, readBlock } from "./class-spec.ts";
import { writeDetails } from "./launch-details.ts";
import { suitableTypes, type SuitableType } from "./suitable-types.ts";
import { ownerTags } from "../tags.ts";

/** Before base64 (EC2 user guide, "Work with instance user data"). */
const MAX_USER_DATA_BYTES = 16_384;

/** Whose machines they are, and where. */
export interface PlanContext {
  /** UID of the cluster's kube-system namespace. */
  readonly cluster: string;
  readonly region: string;
  /** Role that is assumed; a class may name this one and no other. */
  readonly roleARN?: string;
}

/**
 * Chooses every parameter of one launch. `combination` counts through all zones of the most preferred type, then through
 * those of the next. Each satellite begins with another zone, so that machines are spread.
 *
 * @throws CloudError of class `parameter` when the class does not add up, or of another one from reads
 */
export async function resolveLaunch(
  request: LaunchRequest,
  catalogue: Catalogue,
  context: PlanContext,
): Promise<ResolvedLaunch> {
  const spec = readBlock(request.classSpec);
  checkPlace(spec, context);
  checkUserData(request.userData);
  const [image, subnets, securityGroups, types] = await Promise.all([
    catalogue.image(spec.image, request.architecture),
    catalogue.subnets(spec.subnets),
    catalogue.securityGroups(spec.securityGroups),
    requireSuitable(request, catalogue),
  ]);
  const places = bestPerZone(subnets).filter(
    ({ zone }) => request.zone === undefined || zone === request.zone,
  );
  const combinations = combine(types, spread(places, request.owner.uid));
  const chosen = combinations[request.combination % Math.max(1, combinations.length)];
  if (chosen === undefined) {
    throw invalidClass(
      "NoCombination",
      request.zone === undefined
        ? `none of the types ${request.types.join(", ")} exists in a zone of the class's subnets; ` +
            "add types to the size or subnets to the class"
        : `the data volume is in ${request.zone}, where the class has no subnet or none of the types ` +
            `${request.types.join(", ")} exists; add a subnet there to the class, or types to the size`,
      "NoTypeAvailable",
    );
  }
  const plan = toPlan(request, spec, context, { ...chosen, image, securityGroups });
  return { plan, combinations: combinations.length };
}

interface Combination {
  readonly type: SuitableType;
  readonly subnet: SubnetFacts;
}

/**
 * Token of one attempt. It is the same whenever the attempt is sent again, and another one for another zone or type, since
 * EC2 keeps tokens by zone. 64 hexadecimal digits, the most that EC2 allows.
 */
export function launchToken(uid: string, attempt: number, zone: string, type: string): string {
  return createHash("sha256")
    .update(JSON.stringify([uid, attempt, zone, type]))
    .digest("hex");
}

/** SHA-256 of the user data, hex. */
export function hashUserData(userData: string): string {
  return createHash("sha256").update(userData).digest("hex");
}

/** Refuses a class of another place than the connection's. @throws CloudError of class `parameter` */
export function checkPlace(spec: Ec2Block, { region, roleARN }: PlanContext): void {
  if (spec.region !== region) {
    throw invalidClass(
      "RegionMismatch",
      `the class is for region ${spec.region}, but this operator manages ${region}; correct spec.ec2.region`,
    );
  }
  if (spec.roleARN !== undefined && spec.roleARN !== roleARN) {
    throw invalidClass(
      "RoleMismatch",
      `the class wants the role ${spec.roleARN}, but this operator runs as ${roleARN ?? "its own identity"}; ` +
        "correct spec.ec2.roleARN",
    );
  }
}

function checkUserData(userData: string): void {
  const sizeBytes = Buffer.byteLength(userData);
  if (sizeBytes > MAX_USER_DATA_BYTES) {
    throw invalidClass(
      "UserDataTooLarge",
      `the user data has ${sizeBytes} bytes and EC2 takes ${MAX_USER_DATA_BYTES}; let your own download ` +
        "the rest, or shorten caCertificates, registryMirrors or extraConfig of spec.guest",
      "UserDataTooLarge",
    );
  }
}

async function requireSuitable(request: LaunchRequest, catalogue: Catalogue): Promise<SuitableType[]> {
  const suitable = await suitableTypes(request, catalogue);
  if (suitable.length === 0) {
    throw invalidClass(
      "NoTypeAvailable",
      `none of the types ${request.types.join(", ")} exists in the region for ${request.architecture}; ` +
        "correct the types of the size in the SatelliteClass",
      "NoTypeAvailable",
    );
  }
  return suitable;
}

/** One subnet per zone: the one with the most free addresses. */
function bestPerZone(subnets: readonly SubnetFacts[]): SubnetFacts[] {
  const best = new Map<string, SubnetFacts>();
  for (const subnet of subnets) {
    const known = best.get(subnet.zone);
    if (known === undefined || subnet.freeAddresses > known.freeAddresses) {
      best.set(subnet.zone, subnet);
    }
  }
  return [...best.values()].sort((a, b) => (a.zone < b.zone ? -1 : 1));
}

/** The same zones in another order: the UID decides which is first. */
function spread(subnets: readonly SubnetFacts[], uid: string): SubnetFacts[] {
  const start = createHash("sha256").update(uid).digest().readUInt32BE(0) % Math.max(1, subnets.length);
  return [...subnets.slice(start), ...subnets.slice(0, start)];
}

function combine(types: readonly SuitableType[], subnets: readonly SubnetFacts[]): Combination[] {
  return types.flatMap((type) =>
    subnets.filter(({ zone }) => type.zones.has(zone)).map((subnet) => ({ type, subnet })),
  );
}

function toPlan(
  request: LaunchRequest,
  spec: Ec2Block,
  context: PlanContext,
  chosen: Combination & { readonly image: ImageFacts; readonly securityGroups: readonly string[] },
): LaunchPlan {
  const { type, subnet, image } = chosen;
  const { owner, attempt } = request;
  const hibernate = request.hibernate && type.canHibernate && image.canHibernate;
  const memoryGiB = hibernate ? Math.ceil(type.memoryMiB / 1024) : 0;
  return {
    attempt,
    token: launchToken(owner.uid, attempt, subnet.zone, type.name),
    type: type.name,
    zone: subnet.zone,
    image: image.id,
    hibernate,
    ...(spec.dataVolume === undefined ? {} : { dataVolume: spec.dataVolume }),
    userDataHash: hashUserData(request.userData),
    tags: { ...spec.tags, ...ownerTags(context.cluster, owner) },
    details: writeDetails({
      subnet: subnet.id,
      securityGroups: chosen.securityGroups,
      rootVolume: {
        ...spec.rootVolume,
        // Hibernation writes the memory to the root volume, beside the system (EC2 user guide, "Prerequisites").
        sizeGiB: Math.max(spec.rootVolume.sizeGiB, image.rootSizeGiB + memoryGiB),
      },
      ...(spec.instanceProfile === undefined ? {} : { instanceProfile: spec.instanceProfile }),
    }),
  };
}
