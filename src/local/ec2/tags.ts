import { Ec2ApiError } from "./api-error.ts";
import type { QueryParameters } from "./query-parameters.ts";

const MAX_TAGS = 50;

/**
 * Reads `Tag.N.Key` and `Tag.N.Value` under the limits of EC2 (EC2 user guide, "Tag restrictions").
 *
 * @throws Ec2ApiError `InvalidParameterValue` or `TagLimitExceeded`
 */
export function readTags(parameters: QueryParameters): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const tag of parameters.structures("Tag")) {
    const key = tag.requiredString("Key");
    const value = tag.string("Value") ?? "";
    if (key.length > 128 || value.length > 256 || key.startsWith("aws:")) {
      throw new Ec2ApiError(
        "InvalidParameterValue",
        `Tag '${key}' is invalid: keys have up to 128 characters and do not begin with aws:, values up to 256`,
      );
    }
    if (key in tags) {
      throw new Ec2ApiError("InvalidParameterValue", `Duplicate tag key '${key}' specified.`);
    }
    tags[key] = value;
  }
  if (Object.keys(tags).length > MAX_TAGS) {
    throw new Ec2ApiError("TagLimitExceeded", `The maximum number of Tags for a resource has been reached.`);
  }
  return tags;
}
