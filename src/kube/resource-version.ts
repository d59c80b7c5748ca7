const DECIMAL = /^[1-9]\d*$/;

/**
 * Compares two resource versions of one resource type. The API server promises an order only for versions that are
 * decimal numbers (KEP-5504, "Comparable Resource Version"), as etcd's are; they may be larger than the integers that a
 * JavaScript number holds exactly.
 *
 * @returns negative, zero or positive like a sort function; undefined when they cannot be compared
 */
export function compareResourceVersions(
  left: string | undefined,
  right: string | undefined,
): number | undefined {
  if (left === undefined || right === undefined || !DECIMAL.test(left) || !DECIMAL.test(right)) {
    return undefined;
  }
  if (left.length !== right.length) {
    return left.length - right.length;
  }
  return left < right ? -1 : Number(left > right);
}
