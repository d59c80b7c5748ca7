import type { Machine, MachineCloud } from "../machines/cloud.ts";
import { CloudError } from "../machines/errors.ts";
import { Tag } from "../machines/tags.ts";
import { timestamp } from "../satellite/conditions.ts";
import { Collector, type CollectorOptions } from "./collector.ts";
import type { OrphanSettings, OrphanStep } from "./orphan-rules.ts";
import { judgeOrphans, type MachineStepKind } from "./orphans.ts";

/** Keeps aside, and later terminates, machines of this cluster that no satellite names (orphans.ts). */
export type MachineCollector = Collector<Machine, MachineStepKind>;

/** Creates the collector of machines. */
export function machineCollector(options: CollectorOptions): MachineCollector {
  const { metrics } = options;
  return new Collector(options, {
    noun: "machine",
    judge: judgeOrphans,
    onSuspicions: ({ size }) => metrics.orphans.set(size),
    carryOut: (step: OrphanStep<Machine, MachineStepKind>, cloud) => carryOut(step, cloud, options),
    steps: {
      Mark: {
        metric: "Mark",
        message:
          "Found a machine of this cluster that no satellite names; it is kept aside, stopped, and terminated after a week",
      },
      Stop: { metric: "Stop", message: "Stopped a machine that no satellite names" },
      Terminate: {
        metric: "Terminate",
        message: "Terminated a machine that no satellite has named for a week",
      },
      Unmark: { metric: "Unmark", message: "A machine that seemed to belong to nobody is used again" },
    },
  });
}

async function carryOut(
  { kind, item: machine, satellite }: OrphanStep<Machine, MachineStepKind>,
  cloud: MachineCloud,
  { clock, settings, announce }: CollectorOptions,
): Promise<void> {
  const tell = (reason: string, message: string): void => {
    if (satellite !== undefined) {
      announce(satellite, { type: "Warning", reason, message });
    }
  };
  switch (kind) {
    case "Mark":
      await cloud.tag(machine.id, { [Tag.orphanedAt]: timestamp(clock.now()) });
      tell("MachineKeptAside", keptAsideMessage(machine.id, settings));
      return;
    case "Unmark":
      await cloud.tag(machine.id, { [Tag.orphanedAt]: "" });
      return;
    case "Stop":
      await stopKeepingMemory(machine, cloud);
      return;
    case "Terminate":
      await cloud.terminate(machine.id);
      tell("MachineKeptAsideEnded", `terminated ${machine.id}, which nobody took back in time`);
      return;
  }
}

/** Tells people of a machine that is kept aside, and what to do. */
export function keptAsideMessage(id: string, { orphanKeptMs }: Pick<OrphanSettings, "orphanKeptMs">): string {
  return (
    `${id} bears this satellite's tags beside the machine that it uses now: it may have served it before. It is stopped, ` +
    `and terminated ${Math.round(orphanKeptMs / 86_400_000)} days after it was found; docs/operations.md, "Machines that ` +
    'are kept aside", says how to take it back'
  );
}

/** Stops a machine that may have served somebody, with its memory where the cloud can keep that. */
async function stopKeepingMemory(machine: Machine, cloud: MachineCloud): Promise<void> {
  if (machine.hibernationConfigured) {
    try {
      await cloud.stop(machine.id, { hibernate: true, force: false });
      return;
    } catch (error) {
      if (!(error instanceof CloudError) || !error.class.startsWith("hibernation")) {
        throw error;
      }
    }
  }
  await cloud.stop(machine.id, { hibernate: false, force: false });
}
