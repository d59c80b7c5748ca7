import protobuf from "protobufjs";
import { asObject, isObject, type JsonObject, type JsonValue } from "./json.ts";
import { definitionsOf, OPENAPI_INFO, pathsOf, type OperationModel } from "./openapi-model.ts";
import type { Resource } from "./resource.ts";

/** The answer's media type. Clients ask with "@" in place of the last dot; kubectl 1.20 refuses an answer that has one. */
export const OPENAPI_V2_CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/** What kubectl reads of `openapi.v2.Document` (openapiv2/OpenAPIv2.proto of google/gnostic-models). */
const MESSAGES = `
  syntax = "proto3";
  message Document { string swagger = 1; Info info = 2; Paths paths = 8; Definitions definitions = 9; }
  message Info { string title = 1; string version = 2; }

  message Definitions { repeated NamedSchema members = 1; }
  message NamedSchema { string name = 1; Schema value = 2; }
  message Schema {
    string ref = 1; string format = 2; string description = 4; repeated string required = 19;
    AdditionalProperties additionalProperties = 21; Texts type = 22; Items items = 23; Definitions properties = 25;
    repeated NamedAny extensions = 31;
  }
  message AdditionalProperties { Schema schema = 1; bool boolean = 2; }
  message Items { repeated Schema schemas = 1; }
  message Texts { repeated string values = 1; }
  message NamedAny { string name = 1; Any value = 2; }
  message Any { string yaml = 2; }

  message Paths { repeated NamedPathItem members = 2; }
  message NamedPathItem { string name = 1; PathItem value = 2; }
  message PathItem { Operation get = 2; Operation put = 3; Operation post = 4; Operation delete = 5; Operation patch = 8; }
  message Operation {
    string operationId = 5; repeated ParametersItem parameters = 8; Responses responses = 9;
    repeated NamedAny extensions = 13;
  }
  message ParametersItem { Parameter parameter = 1; }
  message Parameter { NonBodyParameter nonBody = 2; }
  message NonBodyParameter { QueryParameter query = 3; }
  message QueryParameter { string in = 2; string name = 4; string type = 6; bool uniqueItems = 20; }
  message Responses { repeated NamedResponse members = 1; }
  message NamedResponse { string name = 1; ResponseValue value = 2; }
  message ResponseValue { Response response = 1; }
  message Response { string description = 1; }
`;

const { root } = protobuf.parse(MESSAGES);

/**
 * The body of /openapi/v2, without which kubectl before 1.29 neither applies nor explains: Debian 12 has 1.20, and the demo
 * installs that there. Protobuf alone, since no client asks for JSON.
 */
export function openApiV2(resources: readonly Resource[]): Uint8Array {
  const definitions = definitionsOf(resources, (name) => ({ $ref: `#/definitions/${name}` }));
  const message = root.lookupType("Document");
  return message
    .encode({
      swagger: "2.0",
      info: OPENAPI_INFO,
      paths: {
        members: resources.flatMap(pathsOf).map(({ path, operations }) => ({
          name: path,
          value: Object.fromEntries(
            operations.map((operation) => [operation.method, operationOf(operation)]),
          ),
        })),
      },
      definitions: namedSchemas(definitions),
    })
    .finish();
}

function namedSchemas(schemas: Readonly<Record<string, JsonValue>>): object {
  return {
    members: Object.entries(schemas).map(([name, schema]) => ({ name, value: schemaOf(asObject(schema)) })),
  };
}

function schemaOf(schema: JsonObject): object {
  const { $ref, format, description, required, type, items, additionalProperties, properties } = schema;
  return {
    ref: $ref,
    format,
    description,
    required,
    ...(isObject(additionalProperties)
      ? { additionalProperties: { schema: schemaOf(additionalProperties) } }
      : additionalProperties === true
        ? { additionalProperties: { boolean: true } }
        : {}),
    ...(type === undefined ? {} : { type: { values: [type] } }),
    ...(isObject(items) ? { items: { schemas: [schemaOf(items)] } } : {}),
    ...(isObject(properties) && Object.keys(properties).length > 0
      ? { properties: namedSchemas(properties) }
      : {}),
    extensions: extensionsOf(schema),
  };
}

function operationOf({ id, method, parameters, gvk }: OperationModel): object {
  return {
    operationId: id,
    parameters: parameters.map((name) => ({
      parameter: { nonBody: { query: { in: "query", name, type: "string", uniqueItems: true } } },
    })),
    responses: { members: [{ name: "200", value: { response: { description: "OK" } } }] },
    extensions: extensionsOf({ "x-kubernetes-action": method, "x-kubernetes-group-version-kind": gvk }),
  };
}

/** Vendor extensions, whose values are YAML; JSON is YAML. */
function extensionsOf(schema: JsonObject): object[] {
  return Object.entries(schema)
    .filter(([name]) => name.startsWith("x-"))
    .map(([name, value]) => ({ name, value: { yaml: JSON.stringify(value) } }));
}
