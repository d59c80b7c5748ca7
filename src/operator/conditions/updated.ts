import type { SatelliteStatus } from "../../satellite/resource.ts";
import { mayReplace, newerImage } from "../image-update.ts";
import { SIZE_UNKNOWN, sizeUnknown } from "../launch-request.ts";
import { isTimeZone } from "../maintenance-window.ts";
import { pendingSize, wantedSize, type WantedSize } from "../size.ts";
import { wakeTimes } from "../wake-schedule.ts";
import { no, noFor, yes, type Rendering, type Said } from "./condition-row.ts";

type Machine = NonNullable<SatelliteStatus["machine"]>;

/** Whether the machine is as spec and class ask; otherwise which change is pending, or why none is made. */
export function updated({ observed, status: { machine, replacement } }: Rendering): Said | undefined {
  const { satellite, satelliteClass } = observed;
  const { invalid } = wakeTimes(satellite, observed.now);
  if (invalid !== undefined) {
    return no(
      "WakeScheduleInvalid",
      `spec.wakeSchedule is not understood, so it wakes nobody; correct ${invalid}`,
    );
  }
  const timeZone = satellite.spec.maintenance?.timeZone;
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    const message = `spec.maintenance.timeZone is no time zone: "${timeZone}"; write one like Europe/Berlin`;
    return no("TimeZoneUnknown", message);
  }
  if (machine === undefined || satelliteClass === undefined) {
    return undefined;
  }
  if (wantedSize(observed) === undefined) {
    return no(SIZE_UNKNOWN, sizeUnknown(satellite, satelliteClass).message);
  }
  const pending = pendingSize(observed);
  return pending === undefined
    ? (imageOutdated(observed, machine, replacement) ??
        tlsOutdated(observed, machine) ??
        yes("UpToDate", "size is as specified"))
    : sizePending(observed, machine, pending);
}

function sizePending(
  { memory, satellite }: Rendering["observed"],
  machine: Machine,
  pending: WantedSize,
): Said {
  const when = satellite.spec.maintenance === undefined ? "" : ", in the maintenance window";
  return memory.failures.last?.action === "ChangeType"
    ? noFor(memory.failures.last)
    : no(
        "SizeChangePending",
        `size is ${machine.size ?? "unknown"}; ${pending.name} applies at the next sleep${when}`,
      );
}

function tlsOutdated(
  { satellite, satelliteClass }: Rendering["observed"],
  machine: Machine,
): Said | undefined {
  const { endpoint } = satellite.status;
  return endpoint === undefined ||
    endpoint.tls === "Required" ||
    satelliteClass?.spec.guest.tls !== "Required"
    ? undefined
    : no(
        "TLSOutdated",
        `machine ${machine.id} was launched without TLS, and its class requires it by now; a machine keeps what was ` +
          "asked of it, so delete the satellite and create it anew to have TLS, or have it replaced by a newer image",
      );
}

/** What happens to a machine whose class has another image by now. */
function imageOutdated(
  observed: Rendering["observed"],
  machine: Machine,
  replacement: SatelliteStatus["replacement"],
): Said | undefined {
  if (replacement?.state === "Launching") {
    return no("Replacing", `machine ${machine.id} is being replaced by one from ${replacement.image}`);
  }
  const { satellite, memory } = observed;
  const image = newerImage({
    ...observed,
    satellite: { ...satellite, status: { ...satellite.status, machine } },
  });
  if (image === undefined) {
    return undefined;
  }
  if (replacement?.image === image && replacement.reason !== undefined) {
    const { reason, message = "" } = replacement;
    return no(reason, `the machine keeps its image; replacing it by one from ${image} failed: ${message}`);
  }
  if (memory.failures.last?.action === "PlanReplacement") {
    return noFor(memory.failures.last);
  }
  const versions = `the machine was made from ${machine.image ?? "another image"}, and its class has ${image} by now`;
  if (mayReplace(observed)) {
    const when = satellite.spec.maintenance === undefined ? "" : ", in the maintenance window";
    return no("ImageUpdatePending", `${versions}; it is replaced while it sleeps${when}`);
  }
  return no(
    "ImageOutdated",
    `${versions}; a machine keeps its image where nothing of it would be kept, so delete the satellite and create it ` +
      "anew, or set spec.imageUpdates: Always in the class, which loses the machine's disk",
  );
}
