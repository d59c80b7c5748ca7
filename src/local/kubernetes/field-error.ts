import type { JsonValue } from "./json.ts";

/** Machine-readable kinds of field errors (apimachinery `field.ErrorType`); the `reason` of a Status cause. */
export type FieldErrorType =
  | "FieldValueDuplicate"
  | "FieldValueForbidden"
  | "FieldValueInvalid"
  | "FieldValueNotFound"
  | "FieldValueNotSupported"
  | "FieldValueRequired"
  | "FieldValueTooLong"
  | "FieldValueTooMany"
  | "FieldValueTypeInvalid";

/** What is wrong with one field of an object. */
export interface FieldError {
  readonly type: FieldErrorType;
  /** Path as Kubernetes writes it: `spec.items[0].name`. */
  readonly field: string;
  readonly detail: string;
  /** The offending value, shown in the message; absent when it is better not shown. */
  readonly value?: JsonValue;
}

const TITLES: Readonly<Record<FieldErrorType, string>> = {
  FieldValueDuplicate: "Duplicate value",
  FieldValueForbidden: "Forbidden",
  FieldValueInvalid: "Invalid value",
  FieldValueNotFound: "Not found",
  FieldValueNotSupported: "Unsupported value",
  FieldValueRequired: "Required value",
  FieldValueTooLong: "Too long",
  FieldValueTooMany: "Too many",
  FieldValueTypeInvalid: "Invalid value",
};

/** The field is missing. */
export function required(field: string, detail = ""): FieldError {
  return { type: "FieldValueRequired", field, detail };
}

/** The value is malformed; without `value` the message does not show it. */
export function invalid(field: string, value: JsonValue | undefined, detail: string): FieldError {
  return { type: "FieldValueInvalid", field, detail, ...(value === undefined ? {} : { value }) };
}

/** The value is not one of those allowed. */
export function notSupported(field: string, value: JsonValue, allowed: readonly string[]): FieldError {
  const quoted = allowed.map((item) => JSON.stringify(item)).join(", ");
  return { type: "FieldValueNotSupported", field, value, detail: `supported values: ${quoted}` };
}

/** The value is not allowed here. */
export function forbidden(field: string, detail: string): FieldError {
  return { type: "FieldValueForbidden", field, detail };
}

/** "Invalid value: "x": why", without the field. */
export function fieldErrorBody(error: FieldError): string {
  const shown = error.value === undefined ? "" : `: ${JSON.stringify(error.value)}`;
  return `${TITLES[error.type]}${shown}${error.detail === "" ? "" : `: ${error.detail}`}`;
}

/** "field: Invalid value: …", the line that kubectl shows. */
export function fieldErrorLine(error: FieldError): string {
  return `${error.field}: ${fieldErrorBody(error)}`;
}
