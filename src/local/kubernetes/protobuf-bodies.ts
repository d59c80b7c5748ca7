import { toError } from "../../base/errors.ts";
import { badRequest, unsupportedMediaType } from "./api-error.ts";
import { OBJECT_MEDIA_TYPES } from "./decode.ts";
import { setOwn, type JsonObject, type JsonValue } from "./json.ts";
import { PROTOBUF_KINDS, type ProtobufField, type ProtobufMessage } from "./protobuf-messages.ts";

/** The media type in which kubectl writes built-in kinds; it reads JSON as well. */
export const PROTOBUF_MEDIA_TYPE = "application/vnd.kubernetes.protobuf";

/** Every Kubernetes protobuf body begins with this, then comes a runtime.Unknown. */
const MAGIC = Buffer.from("k8s\0", "latin1");

interface WireField {
  readonly number: number;
  /** A varint, or the content of a length-delimited field. */
  readonly value: number | Buffer;
}

/**
 * An object in Kubernetes' protobuf encoding (API concepts, "Protobuf encoding idiom") as JSON.
 *
 * @throws ApiError 400 when it cannot be read, 415 for kinds other than those in {@link PROTOBUF_KINDS}
 */
export function protobufToJson(body: Buffer): JsonObject {
  try {
    if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw new RangeError("the magic bytes are missing");
    }
    const unknown = [...fieldsOf(body.subarray(MAGIC.length))];
    const typeMeta = [...fieldsOf(bytesOf(unknown, 1))];
    const apiVersion = bytesOf(typeMeta, 1).toString("utf8");
    const kind = bytesOf(typeMeta, 2).toString("utf8");
    const message = PROTOBUF_KINDS.get(`${apiVersion} ${kind}`);
    if (message === undefined) {
      throw unsupportedMediaType(OBJECT_MEDIA_TYPES);
    }
    return { apiVersion, kind, ...decodeMessage(bytesOf(unknown, 2), message) };
  } catch (error) {
    if (error instanceof RangeError) {
      throw badRequest(`the body of the request is not protobuf: ${toError(error).message}`);
    }
    throw error;
  }
}

function bytesOf(fields: readonly WireField[], number: number): Buffer {
  const field = fields.find((candidate) => candidate.number === number);
  return Buffer.isBuffer(field?.value) ? field.value : Buffer.alloc(0);
}

function decodeMessage(data: Buffer, message: ProtobufMessage): JsonObject {
  const result: JsonObject = {};
  for (const { number, value } of fieldsOf(data)) {
    const field = message.get(number);
    if (field !== undefined) {
      addField(result, field, value);
    }
  }
  return result;
}

function addField(result: JsonObject, field: ProtobufField, value: number | Buffer): void {
  if (field.kind === "map") {
    const entry = [...fieldsOf(contentOf(value))];
    const map = (result[field.name] ??= {}) as JsonObject;
    setOwn(
      map,
      bytesOf(entry, 1).toString("utf8"),
      bytesOf(entry, 2).toString(field.values === "text" ? "utf8" : "base64"),
    );
    return;
  }
  const decoded = scalarOf(field, value);
  if (field.repeated === true) {
    const list = (result[field.name] ??= []) as JsonValue[];
    list.push(decoded);
  } else {
    result[field.name] = decoded;
  }
}

function scalarOf(field: Exclude<ProtobufField, { kind: "map" }>, value: number | Buffer): JsonValue {
  switch (field.kind) {
    case "integer":
      return Number(value);
    case "boolean":
      return value !== 0;
    case "text":
      return contentOf(value).toString("utf8");
    case "bytes":
      return contentOf(value).toString("base64");
    case "message":
      return decodeMessage(contentOf(value), field.message);
    case "time":
      return timeOf(contentOf(value));
  }
}

/** metav1.Time: seconds since the epoch; an empty message is no time. */
function timeOf(data: Buffer): JsonValue {
  const seconds = [...fieldsOf(data)].find(({ number }) => number === 1)?.value;
  return typeof seconds === "number" ? `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z` : null;
}

function contentOf(value: number | Buffer): Buffer {
  if (typeof value === "number") {
    throw new RangeError("a field has another wire type than its kind");
  }
  return value;
}

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

/** The fields of an encoded message, in order. @throws RangeError when it is cut off or not protobuf */
function* fieldsOf(data: Buffer): Generator<WireField> {
  let offset = 0;
  const varint = (): number => {
    let result = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data.readUInt8(offset);
      offset += 1;
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        return result;
      }
    }
  };
  while (offset < data.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case VARINT:
        yield { number, value: varint() };
        break;
      case LENGTH_DELIMITED: {
        const end = varint() + offset;
        if (end > data.length) {
          throw new RangeError("a field goes on beyond the end");
        }
        yield { number, value: data.subarray(offset, end) };
        offset = end;
        break;
      }
      case FIXED_64:
        offset += 8;
        break;
      case FIXED_32:
        offset += 4;
        break;
      default:
        throw new RangeError(`unknown wire type ${tag % 8}`);
    }
  }
}
