import { no, yes, type Rendering, type Said } from "./condition-row.ts";

/** Most machines that a message names. */
const NAMED = 10;

/** Machines of the satellite that it does not use: they are kept for somebody to take them back. */
export function keptAside({ observed, shown }: Rendering): Said | undefined {
  if (!observed.listed) {
    return undefined;
  }
  if (observed.keptAside.length > 0) {
    const ids = observed.keptAside.slice(0, NAMED).map(({ id }) => id);
    return yes(
      "KeptAside",
      `${ids.join(", ")}: tagged as this satellite's, and not used; stopped, and terminated after a week. ` +
        'docs/operations.md, "Machines that are kept aside", says how to take one back',
    );
  }
  return shown === undefined ? undefined : no("None", "no machine is kept aside");
}
