/** Who uses a satellite, by what, and since when. */
export interface StreamUse {
  /** The caller as RBAC knows them; absent where nobody is asked for a name. */
  readonly user?: string | undefined;
  /** The request's `:path`. */
  readonly path: string;
  /** When the request came, on the monotonic clock. */
  readonly sinceMs: number;
}

/** A stream that is open. */
export interface OpenStream extends StreamUse {
  readonly epoch: number;
  previous: OpenStream | undefined;
  next: OpenStream | undefined;
}

/**
 * The open streams of one satellite in the order in which they opened: the first is the oldest. A linked list, since every
 * request comes by here, and adding and removing must cost next to nothing.
 */
export class OpenStreams {
  #first: OpenStream | undefined;
  #last: OpenStream | undefined;
  #size = 0;
  /**
   * How many are open, by epoch. One that has none stays until another epoch begins: a map that is emptied and filled by
   * each request is made anew each time.
   */
  readonly #byEpoch = new Map<number, number>();

  get size(): number {
    return this.#size;
  }

  /** Whether any is open in this epoch. */
  has(epoch: number): boolean {
    return (this.#byEpoch.get(epoch) ?? 0) > 0;
  }

  /** The stream that has been open for longest. */
  get oldest(): StreamUse | undefined {
    return this.#first;
  }

  add(epoch: number, { user, path, sinceMs }: StreamUse): OpenStream {
    const stream: OpenStream = { epoch, user, path, sinceMs, previous: this.#last, next: undefined };
    if (this.#last === undefined) {
      this.#first = stream;
    } else {
      this.#last.next = stream;
    }
    this.#last = stream;
    this.#size++;
    const others = this.#byEpoch.get(epoch);
    if (others === undefined) {
      this.#forgetEnded();
    }
    this.#byEpoch.set(epoch, (others ?? 0) + 1);
    return stream;
  }

  /** @param stream one that {@link add} gave out; once */
  remove(stream: OpenStream): void {
    const { epoch, previous, next } = stream;
    this.#size--;
    this.#byEpoch.set(epoch, (this.#byEpoch.get(epoch) ?? 1) - 1);
    if (previous === undefined) {
      this.#first = next;
    } else {
      previous.next = next;
    }
    if (next === undefined) {
      this.#last = previous;
    } else {
      next.previous = previous;
    }
  }

  #forgetEnded(): void {
    for (const [epoch, open] of this.#byEpoch) {
      if (open === 0) {
        this.#byEpoch.delete(epoch);
      }
    }
  }
}

/** Lengths that the CRD allows (status.activity.*.oldestStream). */
const MAX_USER_LENGTH = 256;
const MAX_METHOD_LENGTH = 128;

/** How a use is shown in `status.activity`: bounded, printable, and without a query, which might hold a secret. */
export function shownUse({ user, path }: StreamUse): { readonly user?: string; readonly method: string } {
  const [method = ""] = path.split("?", 1);
  return {
    ...(user === undefined ? {} : { user: printable(user, MAX_USER_LENGTH) }),
    method: printable(method, MAX_METHOD_LENGTH),
  };
}

/** ASCII alone, so that the length is the one that the API server counts; dots stand for what was cut. */
function printable(text: string, maxLength: number): string {
  const shown = text.slice(0, maxLength + 1).replaceAll(/[^\x20-\x7e]/g, "?");
  return shown.length > maxLength ? `${shown.slice(0, maxLength - 3)}...` : shown;
}
