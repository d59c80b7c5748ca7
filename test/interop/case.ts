import type { GrpcGoVm } from "./vm.ts";
import type { World } from "./world.ts";

/** Paths of the strangers' programs. */
export interface Programs {
  /** A client and a VM made of grpc-go. */
  readonly peer: string;
  /** grpc-go's official interop client. */
  readonly client: string;
  /** grpc-go's negative HTTP/2 client. */
  readonly http2: string;
  /** A Python that has grpcio. */
  readonly python: string;
}

/** What a case has to work with. */
export interface Trial {
  readonly world: World;
  readonly vm: GrpcGoVm;
  readonly programs: Programs;
}

/** One thing that must succeed through the router. */
export interface Case {
  readonly name: string;
  /**
   * Tries it.
   *
   * @returns a figure to print, if there is one
   * @throws Error that says what went wrong
   */
  readonly run: (trial: Trial) => Promise<string | void>;
}
