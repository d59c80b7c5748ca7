import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Gatekeeper } from "../engine.ts";
import type { OwnService } from "../own-service.ts";
import type { HpackScratch } from "../../http2/hpack-decoder.ts";
import type { PrepaidBudget } from "./client-flow.ts";
import type { RelayLimits } from "./limits.ts";
import type { Slabs } from "./outbox.ts";
import type { WireMemory } from "./tcp-wire.ts";
import type { Dial } from "./vm-connection.ts";

/** Ends of requests whose gRPC status the router does not know: it does not read the messages of VMs. */
export const RequestEnd = {
  /** The VM ended it. */
  PASSED: "PASSED",
  /** The client gave it up. */
  CANCELLED: "CANCELLED",
} as const;

/** What all connections of an engine share. */
export interface RelayContext {
  readonly gatekeeper: Gatekeeper;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: RelayLimits;
  readonly dial: Dial;
  /** What the router serves itself. */
  readonly own?: OwnService;
  /** Called once per request: with the name of its gRPC status where the router knows it, see {@link RequestEnd}. */
  readonly onRequestEnd: (code: string) => void;
  /** Called when a fault of the router's has ended a connection. */
  readonly onFault: () => void;
  readonly prepaid: PrepaidBudget;
  readonly slabs: Slabs;
  readonly scratch: HpackScratch;
  readonly memory: WireMemory;
}
