import type { KubeClient } from "../kube/client.ts";
import { NAMESPACE } from "../kube/resources.ts";
import type { LaunchPlan, LaunchRequest } from "../machines/cloud.ts";
import { CLASS_FINALIZER, type LaunchIntent } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { ConfigurationError } from "./failures.ts";
import { launchDetailsOf } from "./older-status.ts";

/** Name of the size that the satellite asks for, or of the class's default. */
export function sizeOf(satellite: Satellite, satelliteClass: SatelliteClass): string {
  return satellite.spec.size ?? satelliteClass.spec.defaultSize;
}

/** Code of {@link sizeUnknown}. */
export const SIZE_UNKNOWN = "SizeUnknown";

/** The class does not have the size that the satellite asks for. */
export function sizeUnknown(satellite: Satellite, satelliteClass: SatelliteClass): ConfigurationError {
  const sizes = Object.keys(satelliteClass.spec.sizes).join(", ");
  const size = sizeOf(satellite, satelliteClass);
  return new ConfigurationError(
    SIZE_UNKNOWN,
    `SatelliteClass ${satellite.spec.className} has no size "${size}"; set spec.size to one of: ${sizes}`,
  );
}

/**
 * What is wanted of a new machine, before the cloud chooses.
 *
 * @throws ConfigurationError when class and satellite do not fit together
 */
export function launchRequest(
  satellite: Satellite,
  satelliteClass: SatelliteClass,
  step: { readonly attempt: number; readonly combination: number },
  userData: string,
): LaunchRequest {
  const size = sizeOf(satellite, satelliteClass);
  const types = satelliteClass.spec.sizes[size]?.types;
  if (types === undefined) {
    throw sizeUnknown(satellite, satelliteClass);
  }
  const { namespace = "", name, uid = "" } = satellite.metadata;
  return {
    owner: { namespace, name, uid, className: satellite.spec.className },
    classSpec: satelliteClass.spec,
    architecture: satellite.spec.architecture,
    types,
    hibernate: satellite.spec.sleepMode === "Hibernate",
    attempt: step.attempt,
    combination: step.combination,
    userData,
    ...(satellite.status.volume === undefined ? {} : { zone: satellite.status.volume.zone }),
  };
}

/** Whether the class bears our finalizer, and so cannot be removed while it has machines. Only then may one be launched. */
export function isHeld({ metadata }: SatelliteClass): boolean {
  return metadata.finalizers?.includes(CLASS_FINALIZER) === true;
}

/**
 * The satellite's class, if there is one.
 *
 * @throws ConfigurationError otherwise
 */
export function requireClass(
  satellite: Satellite,
  satelliteClass: SatelliteClass | undefined,
): SatelliteClass {
  if (satelliteClass === undefined) {
    throw new ConfigurationError(
      "ClassNotFound",
      `there is no SatelliteClass "${satellite.spec.className}"; create it, or delete this satellite and name ` +
        "another class",
    );
  }
  return satelliteClass;
}

/**
 * Checks that the class may be used from a namespace; what its machines may do is a privilege.
 *
 * @throws ConfigurationError when it may not
 */
export function checkNamespaceAllowed(
  satelliteClass: SatelliteClass,
  namespace: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
): void {
  const allowed = satelliteClass.spec.allowedNamespaces;
  const byName = allowed?.names?.includes(namespace.name) ?? false;
  const wanted = allowed?.selector?.matchLabels;
  const byLabels =
    wanted !== undefined &&
    Object.entries(wanted).every(([label, value]) => namespace.labels[label] === value);
  if (allowed !== undefined && !byName && !byLabels) {
    throw new ConfigurationError(
      "NamespaceNotAllowed",
      `SatelliteClass "${satelliteClass.metadata.name}" may not be used from namespace ${namespace.name}; ask its ` +
        "owner to add it to spec.allowedNamespaces",
    );
  }
}

/**
 * The same for a namespace by its name; its labels are read where the class asks for them.
 *
 * @throws ConfigurationError when it may not; KubeError when the namespace cannot be read
 */
export async function requireNamespaceAllowed(
  satelliteClass: SatelliteClass,
  name: string,
  client: Pick<KubeClient, "get">,
): Promise<void> {
  if (satelliteClass.spec.allowedNamespaces !== undefined) {
    const { metadata } = await client.get(NAMESPACE, { name });
    checkNamespaceAllowed(satelliteClass, { name: metadata.name, labels: metadata.labels ?? {} });
  }
}

/** The plan as it is written to `status.launch`. */
export function intentOf(plan: LaunchPlan, size: string, { metadata, spec }: SatelliteClass): LaunchIntent {
  return {
    ...plan,
    ...(plan.dataVolume === undefined ? {} : { dataVolume: { ...plan.dataVolume } }),
    tags: { ...plan.tags },
    details: { ...plan.details },
    size,
    classGeneration: metadata.generation ?? 0,
    tls: spec.guest.tls,
  };
}

/** The class with the TLS setting that the launch was planned with, since that is what the guest will be expected to serve. */
export function asPlanned(satelliteClass: SatelliteClass, { tls }: LaunchIntent): SatelliteClass {
  const { spec } = satelliteClass;
  return tls === undefined || tls === spec.guest.tls
    ? satelliteClass
    : { ...satelliteClass, spec: { ...spec, guest: { ...spec.guest, tls } } };
}

/**
 * The plan that `status.launch` holds.
 *
 * @throws ConfigurationError when parameters are missing: somebody else wrote the field, or an older CRD dropped some
 */
export function planOf(intent: LaunchIntent): LaunchPlan {
  const { attempt, token, type, zone, image, userDataHash } = intent;
  const details = launchDetailsOf(intent);
  if (
    type === undefined ||
    zone === undefined ||
    image === undefined ||
    details === undefined ||
    userDataHash === undefined
  ) {
    throw new ConfigurationError(
      "LaunchIntentIncomplete",
      "status.launch lacks parameters of the launch, which is planned anew; see that the CRDs are those of the operator's " +
        "version",
    );
  }
  return {
    attempt,
    token,
    type,
    zone,
    image,
    hibernate: intent.hibernate ?? false,
    ...(intent.dataVolume === undefined ? {} : { dataVolume: intent.dataVolume }),
    userDataHash,
    tags: intent.tags ?? {},
    details,
  };
}
