import { no, yes, type Rendering, type Said } from "./condition-row.ts";

/** Whether its port answers. */
export function awake({ status: { power } }: Rendering): Said {
  return power.state === "Running"
    ? yes("PortAnswers", "the VM's gRPC port answers")
    : no(power.state, `power is ${power.state}`);
}
