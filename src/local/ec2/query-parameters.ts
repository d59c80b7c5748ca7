import { Ec2ApiError, invalidValue, missingParameter } from "./api-error.ts";

/**
 * The form-encoded parameters of one EC2 Query request, with typed readers (EC2 API reference, "Making API
 * requests"). Lists are numbered from 1 (`InstanceId.1`), structures are dotted (`Filter.1.Value.2`). Keys
 * that were read are noted; {@link refuseUnread} refuses a request that holds any other, so that no parameter
 * is ignored silently.
 */
export class QueryParameters {
  readonly #values: ReadonlyMap<string, string>;
  readonly #read: Set<string>;
  readonly #prefix: string;

  private constructor(values: ReadonlyMap<string, string>, read: Set<string>, prefix: string) {
    this.#values = values;
    this.#read = read;
    this.#prefix = prefix;
  }

  /**
   * Reads a request body.
   *
   * @throws Ec2ApiError `InvalidParameterCombination` when a key occurs twice
   */
  static parse(body: string): QueryParameters {
    const values = new Map<string, string>();
    for (const [key, value] of new URLSearchParams(body)) {
      if (values.has(key)) {
        throw new Ec2ApiError("InvalidParameterCombination", `The parameter ${key} may be given only once`);
      }
      values.set(key, value);
    }
    return new QueryParameters(values, new Set(), "");
  }

  /** The text of one parameter. */
  string(name: string): string | undefined {
    const key = this.#prefix + name;
    this.#read.add(key);
    return this.#values.get(key);
  }

  /** @throws Ec2ApiError `MissingParameter` when it is absent or empty */
  requiredString(name: string): string {
    const value = this.string(name);
    if (value === undefined || value === "") {
      throw missingParameter(this.#prefix + name);
    }
    return value;
  }

  /** @throws Ec2ApiError `InvalidParameterValue` for anything but `true` and `false` */
  boolean(name: string): boolean | undefined {
    const value = this.string(name);
    if (value === undefined) {
      return undefined;
    }
    if (value !== "true" && value !== "false") {
      throw invalidValue(this.#prefix + name, value, "Use true or false.");
    }
    return value === "true";
  }

  /** @throws Ec2ApiError `InvalidParameterValue` for anything but a whole number from `min` to `max` */
  integer(name: string, min: number, max: number): number | undefined {
    const value = this.string(name);
    if (value === undefined) {
      return undefined;
    }
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || number < min || number > max) {
      throw invalidValue(this.#prefix + name, value, `Use a whole number from ${min} to ${max}.`);
    }
    return number;
  }

  /** The items of a list of texts, in order; empty when there is none. */
  strings(name: string): string[] {
    return this.#indices(name).map((index) => this.requiredString(`${name}.${index}`));
  }

  /** The items of a list of structures, in order, each as parameters of its own. */
  structures(name: string): QueryParameters[] {
    return this.#indices(name).map(
      (index) => new QueryParameters(this.#values, this.#read, `${this.#prefix}${name}.${index}.`),
    );
  }

  /** One nested structure, or undefined when no parameter of it is given. */
  structure(name: string): QueryParameters | undefined {
    const prefix = `${this.#prefix}${name}.`;
    const given = [...this.#values.keys()].some((key) => key.startsWith(prefix));
    return given ? new QueryParameters(this.#values, this.#read, prefix) : undefined;
  }

  /**
   * Ends the reading.
   *
   * @throws Ec2ApiError `UnknownParameter` when the request holds a key that was not read
   */
  refuseUnread(): void {
    for (const key of this.#values.keys()) {
      if (!this.#read.has(key)) {
        throw new Ec2ApiError("UnknownParameter", `The parameter ${key} is not recognized`);
      }
    }
  }

  /** All pairs except those named, sorted by key: two requests with the same token must have the same ones. */
  canonical(except: readonly string[]): string {
    return [...this.#values]
      .filter(([key]) => !except.includes(key))
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join("\n");
  }

  #indices(name: string): number[] {
    const prefix = `${this.#prefix}${name}.`;
    const indices = new Set<number>();
    for (const key of this.#values.keys()) {
      if (key.startsWith(prefix)) {
        const index = key.slice(prefix.length).split(".", 1)[0] ?? "";
        if (/^[1-9]\d*$/.test(index)) {
          indices.add(Number(index));
        }
      }
    }
    return [...indices].sort((a, b) => a - b);
  }
}
