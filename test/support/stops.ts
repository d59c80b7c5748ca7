/** Ends what was begun: a server, a connection, a process; or removes what was made. */
export type Stop = () => unknown;

/**
 * Ends everything that was begun, the last one first, each when the one before has ended; the list is empty then. One that
 * fails does not keep the others from being ended.
 *
 * @throws AggregateError with every failure
 */
export async function stopAll(stops: Stop[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops.splice(0).toReversed()) {
    try {
      await stop();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, `not everything could be ended: ${failures.map(String).join("; ")}`);
  }
}

/** A list for what the tests of this suite begin; it is ended after each of them by {@link stopAll}. */
export function stopAfterEach(): Stop[] {
  const stops: Stop[] = [];
  afterEach(() => stopAll(stops));
  return stops;
}
