import { asObject, asString, asStrings, isObject, type JsonObject, type JsonValue } from "./json.ts";
import { OPENAPI_INFO, pathsOf, type OperationModel } from "./openapi-model.ts";
import { definitionsV2 } from "./openapi-v2.ts";
import { bool, concat, message, text } from "./protobuf.ts";
import type { Resource } from "./resource.ts";

/** The media type, without `application/`, in which kubectl asks for /openapi/v2; old ones take nothing else. */
export const OPENAPI_V2_PROTOBUF = "com.github.proto-openapi.spec.v2@v1.0+protobuf";
/** How the answer is marked. Not as it was asked for: "@" may not stand in a media type, and old kubectl checks that. */
export const OPENAPI_V2_CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/**
 * /openapi/v2 in protobuf: `openapi.v2.Document` of google/gnostic-models (openapiv2/OpenAPIv2.proto), whose field
 * numbers stand below. Only what kubectl reads is written: types, descriptions, references and write parameters.
 */
export function encodeOpenApiV2(resources: readonly Resource[]): Uint8Array {
  const info = concat([text(1, OPENAPI_INFO.title), text(2, OPENAPI_INFO.version)]);
  const definitions = Object.entries(definitionsV2(resources)).map(([name, schema]) =>
    message(1, namedSchema(name, schema)),
  );
  return concat([
    text(1, "2.0"),
    message(2, info),
    message(
      8,
      concat(
        resources.flatMap(pathsOf).map(({ path, operations }) => message(2, namedPath(path, operations))),
      ),
    ),
    message(9, concat(definitions)),
  ]);
}

function namedSchema(name: string, schema: JsonObject): Uint8Array {
  return concat([text(1, name), message(2, schemaMessage(schema))]);
}

function schemaMessage(schema: JsonObject): Uint8Array {
  const { items, additionalProperties } = schema;
  const properties = Object.entries(asObject(schema["properties"]));
  return concat([
    text(1, asString(schema["$ref"])),
    text(2, asString(schema["format"])),
    text(4, asString(schema["description"])),
    ...asStrings(schema["required"]).map((name) => text(19, name)),
    additionalPropertiesMessage(additionalProperties),
    ...(schema["type"] === undefined ? [] : [message(22, text(1, asString(schema["type"])))]),
    ...(isObject(items) ? [message(23, message(1, schemaMessage(items)))] : []),
    ...(properties.length === 0
      ? []
      : [
          message(
            25,
            concat(properties.map(([name, property]) => message(1, namedSchema(name, asObject(property))))),
          ),
        ]),
    ...extensions(schema, 31),
  ]);
}

function additionalPropertiesMessage(value: JsonValue | undefined): Uint8Array {
  if (isObject(value)) {
    return message(21, message(1, schemaMessage(value)));
  }
  return value === true ? message(21, bool(2, true)) : new Uint8Array();
}

function namedPath(path: string, operations: readonly OperationModel[]): Uint8Array {
  const numbers: Readonly<Record<OperationModel["method"], number>> = {
    get: 2,
    put: 3,
    post: 4,
    delete: 5,
    patch: 8,
  };
  const item = concat(
    operations.map((operation) => message(numbers[operation.method], operationMessage(operation))),
  );
  return concat([text(1, path), message(2, item)]);
}

function operationMessage({ id, method, parameters, gvk }: OperationModel): Uint8Array {
  const ok = concat([text(1, "200"), message(2, message(1, text(1, "OK")))]);
  return concat([
    text(5, id),
    ...parameters.map((name) => message(8, queryParameter(name))),
    message(9, message(1, ok)),
    ...extensions({ "x-kubernetes-action": method, "x-kubernetes-group-version-kind": gvk }, 13),
  ]);
}

/** ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema. */
function queryParameter(name: string): Uint8Array {
  const parameter = concat([text(2, "query"), text(4, name), text(6, "string"), bool(20, true)]);
  return message(1, message(2, message(3, parameter)));
}

/** Vendor extensions as NamedAny, whose value is YAML; JSON is YAML. */
function extensions(schema: JsonObject, number: number): Uint8Array[] {
  return Object.entries(schema)
    .filter(([name]) => name.startsWith("x-"))
    .map(([name, value]) =>
      message(number, concat([text(1, name), message(2, text(2, JSON.stringify(value)))])),
    );
}
