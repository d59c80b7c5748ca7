import { SatelliteError } from "../base/errors.ts";
import type { Admission } from "./engine.ts";
import type { Target } from "./standing.ts";

/** A request that goes to a VM. */
export interface Forwarded {
  /** "namespace/name" of the satellite. */
  readonly satellite: string;
  readonly target: Target;
  /** Header names that must not be forwarded. */
  readonly drop: ReadonlySet<string>;
  /** Milliseconds for which it was held. */
  readonly heldMs: number;
}

/**
 * The admission of a request that goes to a VM.
 *
 * @param onRelease called when its stream has ended; a second release is thrown as SatelliteError `ReleasedTwice`
 */
export function forward({ satellite, target, drop, heldMs }: Forwarded, onRelease: () => void): Admission {
  const { epoch, host, port, tlsFingerprint } = target;
  let released = false;
  return {
    kind: "forward",
    upstream: { satellite, epoch, host, port, tlsFingerprint },
    drop,
    heldMs,
    release: () => {
      if (released) {
        throw new SatelliteError(
          "ReleasedTwice",
          "an admission was released twice; this is a bug in an engine",
        );
      }
      released = true;
      onRelease();
    },
  };
}
