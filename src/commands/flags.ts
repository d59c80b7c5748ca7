import { isDnsLabel } from "../base/names.ts";
import { InvalidArgumentError, Option } from "commander";

/** What the value of a numeric flag may be. */
export interface NumberRange {
  /** What the number counts, in the plural: "seconds", "satellites". */
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  /** Taken when the flag is absent. */
  readonly default?: number;
}

/**
 * A flag whose value is a whole number in a range. The help shows the range, and any other value is refused before the
 * command starts. Every numeric flag is made here.
 */
export function numberFlag(flags: string, description: string, range: NumberRange): Option {
  const option = new Option(flags, `${description} (${range.min} to ${range.max})`).argParser((text) =>
    parseWholeNumber(text, range),
  );
  return range.default === undefined ? option : option.default(range.default);
}

/** A flag whose value has a certain form; `parse` throws when the value does not have it. */
export function checkedFlag(flags: string, description: string, parse: (text: string) => unknown): Option {
  return new Option(flags, description).argParser((text) => {
    try {
      parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
    return text;
  });
}

/**
 * Reads a whole number written in decimal digits.
 *
 * @throws InvalidArgumentError that names the unit and the range
 */
export function parseWholeNumber(text: string, { unit, min, max }: NumberRange): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new InvalidArgumentError(`It must be a whole number of ${unit} from ${min} to ${max}.`);
  }
  return value;
}

/** Throws unless the text is the URL of an HTTP server. */
export function checkHttpUrl(text: string): void {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) {
    throw new InvalidArgumentError("It must be a URL that begins with http:// or https://.");
  }
}

/** Throws unless the text is a DNS label (RFC 1123): it becomes part of a name. */
export function checkDnsLabel(text: string): void {
  if (!isDnsLabel(text)) {
    throw new InvalidArgumentError(
      'It must be of at most 63 lower-case letters, digits and "-", and neither begin nor end with "-".',
    );
  }
}

/** Throws unless the text is "namespace/name". */
export function checkNamespacedName(text: string): void {
  if (!/^[^/\s]+\/[^/\s]+$/.test(text)) {
    throw new InvalidArgumentError("It must be of the form namespace/name.");
  }
}

/** Throws unless the text is "/package.Service/Method", or "/package.Service/" for all methods. */
export function checkMethod(text: string): void {
  if (!/^\/[^/\s]+\/[^/\s]*$/.test(text)) {
    throw new InvalidArgumentError("It must be of the form /package.Service/Method or /package.Service/.");
  }
}
