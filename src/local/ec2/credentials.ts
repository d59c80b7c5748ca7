import { Ec2ApiError } from "./api-error.ts";

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=[^/,\s]+\/\d{8}\/(?<region>[^/]+)\/(?<service>[^/]+)\/aws4_request, ?SignedHeaders=[^,\s]+, ?Signature=[0-9a-f]{64}$/;

/**
 * Checks that a request is signed for this region and service (Signature Version 4). The signature itself is
 * not verified, since the endpoint knows no secret keys: it listens on loopback only.
 *
 * @throws Ec2ApiError `AuthFailure` without a well-formed signature, `SignatureDoesNotMatch` for another scope
 */
export function checkCredentials(header: string | undefined, region: string, service: string): void {
  const scope = AUTHORIZATION.exec(header ?? "")?.groups;
  if (scope === undefined) {
    throw new Ec2ApiError("AuthFailure", "AWS was not able to validate the provided access credentials", 401);
  }
  if (scope["region"] !== region || scope["service"] !== service) {
    throw new Ec2ApiError(
      "SignatureDoesNotMatch",
      `Credential should be scoped to ${region}/${service}, not ${scope["region"]}/${scope["service"]}`,
      403,
    );
  }
}
