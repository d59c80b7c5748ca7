import type { Clock } from "../base/clock.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import type { Satellite } from "../satellite/types.ts";
import { HostEvents } from "./host-events.ts";
import { MachineDirectory } from "./machine-directory.ts";
import type { MachineListing, OrphanCollector } from "./orphan-collector.ts";
import type { OperatorSettings } from "./settings.ts";
import type { VolumeCollector } from "./volume-collector.ts";

/** What a {@link Surveyor} takes. */
export interface SurveyorOptions {
  readonly clock: Clock;
  readonly settings: Pick<OperatorSettings, "eventPollMs" | "volumePollMs">;
  /** Every place that a class names. */
  readonly clouds: () => ReadonlySet<MachineCloud>;
  readonly satellites: () => Satellite[];
  /** Something is new about the machine of this ID: the satellites that name it are to be looked at. */
  readonly machineChanged: (id: string) => void;
  /** The same of the satellite under "namespace/name", which a machine is tagged with. */
  readonly ownerChanged: (key: string) => void;
}

/** What complete lists of every place have shown during one lead; while another operator leads it gets old. */
export class Surveyor {
  readonly directory = new MachineDirectory();
  readonly hostEvents = new HostEvents();
  readonly #options: SurveyorOptions;
  #eventsReadAtMs = -Infinity;
  #volumesReadAtMs = -Infinity;
  /** The listing under way; callers share it. */
  #listing: Promise<MachineListing> | undefined;

  constructor(options: SurveyorOptions) {
    this.#options = options;
  }

  /** Takes a complete list of machines, and looks again at what changed. */
  listMachines(): Promise<MachineListing> {
    this.#listing ??= this.#listAll().finally(() => {
      this.#listing = undefined;
    });
    return this.#listing;
  }

  async #listAll(): Promise<MachineListing> {
    const listing = await this.#everywhere((cloud) => cloud.list());
    const { ids, owners } = this.directory.replace([...listing.keys()]);
    ids.forEach((id) => this.#options.machineChanged(id));
    owners.forEach((key) => this.#options.ownerChanged(key));
    return listing;
  }

  /** Looks at all machines: for drift, and for those that nobody uses. */
  async machines(collector: OrphanCollector): Promise<void> {
    const listing = await this.listMachines();
    await collector.collect(listing, this.#options.satellites());
  }

  /** Asks now and then what the cloud has announced, and looks again at the satellites that it concerns. */
  async events(): Promise<void> {
    const { clock, settings, clouds, machineChanged } = this.#options;
    if (clock.monotonicMs() - this.#eventsReadAtMs < settings.eventPollMs) {
      return;
    }
    this.#eventsReadAtMs = clock.monotonicMs();
    const now = clock.now();
    const lists = await Promise.all([...clouds()].map((cloud) => cloud.events()));
    for (const id of this.hostEvents.replace(lists.flat(), now)) {
      machineChanged(id);
    }
  }

  /** Looks now and then at all data volumes, for those that nobody uses. */
  async volumes(collector: VolumeCollector): Promise<void> {
    const { clock, settings } = this.#options;
    if (clock.monotonicMs() - this.#volumesReadAtMs < settings.volumePollMs) {
      return;
    }
    this.#volumesReadAtMs = clock.monotonicMs();
    const listing = await this.#everywhere((cloud) => cloud.listVolumes());
    this.directory.replaceVolumes([...listing.keys()].map(({ id }) => id));
    await collector.collect(listing, this.#options.satellites());
  }

  /** What each place lists, with the place. */
  async #everywhere<T>(list: (cloud: MachineCloud) => Promise<T[]>): Promise<Map<T, MachineCloud>> {
    const lists = await Promise.all(
      [...this.#options.clouds()].map(async (cloud) =>
        (await list(cloud)).map((item) => [item, cloud] as const),
      ),
    );
    return new Map(lists.flat());
  }
}
