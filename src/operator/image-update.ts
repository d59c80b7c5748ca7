import { Annotation } from "../satellite/resource.ts";
import type { Observation } from "./observation.ts";
import { mayUpdateNow } from "./maintenance-window.ts";

/** How long after a failed replacement the same image is not tried. */
const RETRY_MS = 6 * 3_600_000;

/** The class's present image, where the machine was made from another one. */
export function newerImage({ satellite: { spec, status }, satelliteClass }: Observation): string | undefined {
  const image = satelliteClass?.status?.resolved?.images?.[spec.architecture];
  const current = status.machine?.image;
  return image === undefined || current === undefined || image === current ? undefined : image;
}

/**
 * Whether the class allows to replace a machine like this one: what is on a data volume is kept, everything else is lost
 * (docs/decisions/0040).
 */
export function mayReplace({ satellite: { status }, satelliteClass }: Observation): boolean {
  const policy = satelliteClass?.spec.imageUpdates ?? "IfDataKept";
  return policy === "Always" || (policy === "IfDataKept" && status.volume?.id !== undefined);
}

/** The image that the machine is to be replaced for; `undefined` where that failed lately. */
export function pendingImage(observed: Observation): string | undefined {
  const image = newerImage(observed);
  const { replacement } = observed.satellite.status;
  const failedLately =
    replacement?.state === "Failed" &&
    replacement.image === image &&
    observed.now.getTime() - Date.parse(replacement.since) < RETRY_MS;
  return image !== undefined && mayReplace(observed) && !failedLately ? image : undefined;
}

/** Whether the next sleep must be without hibernation, since a machine that keeps its memory cannot be replaced. */
export function isToBeReplacedNext(observed: Observation): boolean {
  return pendingImage(observed) !== undefined && mayUpdateNow(observed.satellite, observed.now);
}

/** Whether somebody wants pending changes applied at once, even to a satellite that is about to wake. */
export function isTold({ satellite: { metadata } }: Observation): boolean {
  return metadata.annotations?.[Annotation.updateNow] === "true";
}
