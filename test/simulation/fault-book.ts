import type { CloudFault, EffectFault, Fault, GuestFault, NotificationFault, Plan } from "./plan.ts";

type FaultOf<On extends Fault["on"]> = Extract<Fault, { on: On }>;

/** The faults of a plan, looked up at the place where each befalls. */
export class FaultBook {
  readonly #faults: readonly Fault[];
  readonly #effects = new Map<string, EffectFault>();
  readonly #notifications = new Map<string, NotificationFault>();
  readonly #calls = new Map<string, number>();
  #befallen = 0;

  constructor({ faults }: Plan) {
    this.#faults = faults;
    for (const fault of faults) {
      if (fault.on === "effect") {
        this.#effects.set(`${fault.process}/${fault.index}`, fault);
      } else if (fault.on === "notification") {
        this.#notifications.set(`${fault.process}/${fault.index}`, fault);
      }
    }
  }

  /** How many faults have happened; what happens for ever counts each time. */
  get befallen(): number {
    return this.#befallen;
  }

  /** Takes note of a fault that the world brings about itself. */
  note(): void {
    this.#befallen++;
  }

  all<On extends Fault["on"]>(on: On): FaultOf<On>[] {
    return this.#faults.filter((fault): fault is FaultOf<On> => fault.on === on);
  }

  guest(what: GuestFault["what"]): GuestFault[] {
    return this.all("guest").filter((fault) => fault.what === what);
  }

  effect(process: string, index: number): EffectFault | undefined {
    return this.#noted(this.#effects.get(`${process}/${index}`));
  }

  notification(process: string, index: number): NotificationFault | undefined {
    return this.#noted(this.#notifications.get(`${process}/${index}`));
  }

  /** The fault that befalls this call of an EC2 action, which is thereby counted. */
  call(action: string): CloudFault | undefined {
    const index = this.#calls.get(action) ?? 0;
    this.#calls.set(action, index + 1);
    return this.#noted(
      this.all("cloud").find(
        (fault) =>
          fault.action === action && index >= fault.from && index < fault.from + (fault.times ?? Infinity),
      ),
    );
  }

  #noted<T>(fault: T | undefined): T | undefined {
    this.#befallen += fault === undefined ? 0 : 1;
    return fault;
  }
}
