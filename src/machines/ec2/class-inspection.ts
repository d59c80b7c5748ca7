import type { ClassFacts, ClassInspection } from "../cloud.ts";
import { CloudError } from "../errors.ts";
import type { Catalogue } from "./catalogue.ts";
import { readBlock, type ImageChoice } from "./class-spec.ts";
import { checkPlace, type PlanContext } from "./launch-plan.ts";

const ARCHITECTURES = ["amd64", "arm64"] as const;

/** Most subnets and groups that `status.resolved` has room for; tags may match more, and launches use them all. */
const MAX_LISTED = 16;

/**
 * What a class chooses in its region now. An architecture without an image is no mistake: most classes serve one.
 *
 * @throws CloudError of class `parameter` when it chooses nothing that exists, or of another one from reads
 */
export async function inspectClass(
  { classSpec, types, isFresh }: ClassInspection,
  catalogue: Catalogue,
  context: PlanContext,
): Promise<ClassFacts> {
  const spec = readBlock(classSpec);
  checkPlace(spec, context);
  if (isFresh === true) {
    catalogue.forgetResolved();
  }
  const [images, subnets, securityGroups, known] = await Promise.all([
    imagesOf(spec.image, catalogue),
    catalogue.subnets(spec.subnets),
    catalogue.securityGroups(spec.securityGroups),
    catalogue.types(types),
  ]);
  const architectures = ARCHITECTURES.filter(
    (name) => images[name] !== undefined && known.some((type) => type.architectures.includes(name)),
  );
  return {
    images,
    architectures,
    details: {
      subnets: subnets
        .map(({ id }) => id)
        .toSorted()
        .slice(0, MAX_LISTED),
      securityGroups: securityGroups.slice(0, MAX_LISTED),
    },
  };
}

async function imagesOf(choice: ImageChoice, catalogue: Catalogue): Promise<Record<string, string>> {
  const images: Record<string, string> = {};
  let refusal: CloudError | undefined;
  for (const architecture of ARCHITECTURES) {
    try {
      images[architecture] = (await catalogue.image(choice, architecture)).id;
    } catch (error) {
      if (!(error instanceof CloudError) || error.class !== "parameter") {
        throw error;
      }
      refusal ??= error;
    }
  }
  if (refusal !== undefined && Object.keys(images).length === 0) {
    throw refusal;
  }
  return images;
}
