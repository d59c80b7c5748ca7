import { no, unknown, yes, type Rendering, type Said } from "./condition-row.ts";

/** Whether memory is kept while it sleeps. */
export function hibernatable({ observed, status, shown }: Rendering): Said | undefined {
  const { machine, launch } = status;
  if (machine === undefined) {
    return undefined;
  }
  switch (machine.hibernation?.trouble) {
    case "Refused":
      return no("HibernationRefused", machine.hibernation.message);
    case "MemoryLost":
      return unknown("MemoryLost", machine.hibernation.message);
    case undefined:
  }
  if (observed.satellite.spec.sleepMode === "Stop") {
    return no("SleepModeStop", "spec.sleepMode is Stop: memory is not kept");
  }
  switch (observed.machine?.hibernationConfigured ?? launch?.hibernate) {
    case true:
      return yes("Supported", "memory is kept while it sleeps");
    case false:
      return no(
        "NotSupported",
        `machine ${machine.id} (${machine.type ?? "type unknown"}) was launched without hibernation, because ` +
          "its type or image does not support it or sleepMode was Stop; it is stopped instead",
      );
    case undefined:
      return shown === undefined ? undefined : unknown("NotKnown", "the machine was not looked at yet");
  }
}
