import type { ClassSpec, MachineCloud } from "./cloud.ts";
import type { CloudProvider, ConnectionOptions } from "./cloud-provider.ts";
import { CloudError } from "./errors.ts";

/** The connections to clouds: one for each place that classes name. */
export class CloudPool {
  readonly #providers: readonly CloudProvider[];
  readonly #options: ConnectionOptions;
  readonly #clouds = new Map<string, MachineCloud>();

  constructor(providers: readonly CloudProvider[], options: ConnectionOptions) {
    this.#providers = providers;
    this.#options = options;
  }

  /**
   * The account and region that a class's machines live in; the same object for the same place.
   *
   * @throws CloudError of class `parameter` when the class names no cloud, or none that is known
   */
  of(classSpec: ClassSpec): MachineCloud {
    const provider = this.#providers.find(({ block }) => classSpec[block] !== undefined);
    if (provider === undefined) {
      throw new CloudError({
        code: "CloudUnknown",
        class: "parameter",
        reason: "InvalidClass",
        message: `the SatelliteClass names no cloud; give one of ${this.#providers.map(({ block }) => `spec.${block}`).join(", ")}`,
      });
    }
    const place = `${provider.block} ${provider.placeOf(classSpec)}`;
    let cloud = this.#clouds.get(place);
    if (cloud === undefined) {
      cloud = provider.connect(classSpec, this.#options);
      this.#clouds.set(place, cloud);
    }
    return cloud;
  }
}
