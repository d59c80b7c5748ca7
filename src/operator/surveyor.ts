import type { Clock } from "../base/clock.ts";
import type { Machine, MachineCloud } from "../machines/cloud.ts";
import type { Satellite } from "../satellite/types.ts";
import { HostEvents } from "./host-events.ts";
import { MachineDirectory } from "./machine-directory.ts";
import type { Listing } from "./collector.ts";
import type { MachineCollector } from "./machine-collector.ts";
import type { OperatorSettings } from "./settings.ts";
import type { VolumeCollector } from "./volume-collector.ts";

/** What a {@link Surveyor} takes. */
export interface SurveyorOptions {
  readonly clock: Clock;
  readonly settings: Pick<OperatorSettings, "eventPollMs" | "volumePollMs">;
  /** The connection to each account and region that a class names. */
  readonly clouds: () => ReadonlySet<MachineCloud>;
  readonly satellites: () => Satellite[];
  /** Called when something about this machine has changed, so that satellites that name it are looked at. */
  readonly machineChanged: (id: string) => void;
  /** Called with the "namespace/name" that such a machine is tagged with, for the same reason. */
  readonly ownerChanged: (key: string) => void;
}

/** Takes complete lists of every account and region while this process leads, and holds what they have shown. */
export class Surveyor {
  readonly directory = new MachineDirectory();
  readonly hostEvents = new HostEvents();
  readonly #options: SurveyorOptions;
  #eventsReadAtMs = -Infinity;
  #volumesReadAtMs = -Infinity;
  /** The list that is being taken; callers share it. */
  #listing: Promise<Listing<Machine>> | undefined;

  constructor(options: SurveyorOptions) {
    this.#options = options;
  }

  /** Takes a complete list of machines, and looks again at what changed. */
  listMachines(): Promise<Listing<Machine>> {
    this.#listing ??= this.#listAll().finally(() => {
      this.#listing = undefined;
    });
    return this.#listing;
  }

  async #listAll(): Promise<Listing<Machine>> {
    const listing = await this.#everywhere((cloud) => cloud.list());
    const { ids, owners } = this.directory.replace([...listing.keys()]);
    ids.forEach((id) => this.#options.machineChanged(id));
    owners.forEach((key) => this.#options.ownerChanged(key));
    return listing;
  }

  /** Looks at all machines: for drift, and for those that nobody uses. */
  async machines(collector: MachineCollector): Promise<void> {
    const listing = await this.listMachines();
    await collector.collect(listing, this.#options.satellites());
  }

  /** Reads from time to time what the cloud has announced, and has the satellites that it concerns looked at. */
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

  /** Looks at all data volumes from time to time, for those that nobody uses. */
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

  /** What each connection lists, with the connection. */
  async #everywhere<T>(list: (cloud: MachineCloud) => Promise<T[]>): Promise<Map<T, MachineCloud>> {
    const lists = await Promise.all(
      [...this.#options.clouds()].map(async (cloud) =>
        (await list(cloud)).map((item) => [item, cloud] as const),
      ),
    );
    return new Map(lists.flat());
  }
}
