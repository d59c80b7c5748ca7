/** Writing of the protobuf wire format (protobuf.dev, "Encoding"): length-delimited fields and booleans. */

const LENGTH_DELIMITED = 2;
const VARINT = 0;

/** One message out of encoded fields. */
export function concat(fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

/** A field that is itself a message. */
export function message(number: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([varint(number * 8 + LENGTH_DELIMITED), varint(body.length), body]);
}

/** A string field; nothing for the empty string, which is the default. */
export function text(number: number, value: string): Uint8Array {
  return value === "" ? new Uint8Array() : message(number, Buffer.from(value, "utf8"));
}

/** A boolean field. */
export function bool(number: number, value: boolean): Uint8Array {
  return Buffer.concat([varint(number * 8 + VARINT), varint(value ? 1 : 0)]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}
