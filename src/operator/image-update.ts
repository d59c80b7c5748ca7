import { Annotation } from "../satellite/resource.ts";
import type { Observation } from "./observation.ts";
import { mayUpdateNow } from "./maintenance-window.ts";

/** How long after a replacement that failed the same image is tried again. */
const RETRY_MS = 6 * 3_600_000;

/** The image that the class has by now, where the machine was made from another one. */
export function newerImage({ satellite: { spec, status }, satelliteClass }: Observation): string | undefined {
  const image = satelliteClass?.status?.resolved?.images?.[spec.architecture];
  const current = status.machine?.image;
  return image === undefined || current === undefined || image === current ? undefined : image;
}

/**
 * Whether the class lets machines like this one be replaced: what is on a data volume is kept, all else is lost with the
 * machine (docs/decisions/0040).
 */
export function mayReplace({ satellite: { status }, satelliteClass }: Observation): boolean {
  const policy = satelliteClass?.spec.imageUpdates ?? "IfDataKept";
  return policy === "Always" || (policy === "IfDataKept" && status.volume?.id !== undefined);
}

/** The image that the machine is to be replaced for. One that failed lately is not tried again yet. */
export function pendingImage(observed: Observation): string | undefined {
  const image = newerImage(observed);
  const { replacement } = observed.satellite.status;
  const failedLately =
    replacement?.state === "Failed" &&
    replacement.image === image &&
    observed.now.getTime() - Date.parse(replacement.since) < RETRY_MS;
  return image !== undefined && mayReplace(observed) && !failedLately ? image : undefined;
}

/** Whether the next sleep must be one from which the machine can be replaced: it cannot while it holds its memory. */
export function isToBeReplacedNext(observed: Observation): boolean {
  return pendingImage(observed) !== undefined && mayUpdateNow(observed.satellite, observed.now);
}

/** Whether somebody wants pending changes applied at once, also to a satellite that is about to wake. */
export function isTold({ satellite: { metadata } }: Observation): boolean {
  return metadata.annotations?.[Annotation.updateNow] === "true";
}
