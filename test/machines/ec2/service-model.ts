import * as ec2 from "@aws-sdk/client-ec2";

/** Kinds of schemas, and lists and maps of simple ones, as the SDK numbers them (@smithy/core, "schema"). */
const [NAMED, LIST, MAP, STRUCTURE] = [0, 1, 2, 3];
const [LIST_OF, MAP_OF] = [64, 128];
const SIMPLE: Readonly<Record<number, (value: unknown) => boolean>> = {
  0: (value) => typeof value === "string",
  1: (value) => typeof value === "number" && Number.isFinite(value),
  2: (value) => typeof value === "boolean",
  4: (value) => value instanceof Date,
};

/** What the service's documentation says of members that the SDK's model knows as strings and lists only. */
const BOUNDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  VolumeType: oneOf(ec2.VolumeType),
  HttpTokens: oneOf(ec2.HttpTokensState),
  HttpEndpoint: oneOf(ec2.InstanceMetadataEndpointState),
  InstanceMetadataTags: oneOf(ec2.InstanceMetadataTagsState),
  InstanceInitiatedShutdownBehavior: oneOf(ec2.ShutdownBehavior),
  ResourceType: oneOf(ec2.ResourceType),
  LocationType: oneOf(ec2.LocationType),
  HttpPutResponseHopLimit: (value) => Number(value) >= 1 && Number(value) <= 64,
  // EC2 developer guide, "Ensuring idempotency".
  ClientToken: (value) => String(value).length <= 64,
  // EC2 user guide, "Instance user data": 16 KB before encoding.
  UserData: (value) => Buffer.from(String(value), "base64").length <= 16_384,
  // EC2 user guide, "Tag restrictions".
  Tags: (value) => Array.isArray(value) && value.length <= 50,
  Key: (value) => String(value).length >= 1 && String(value).length <= 128 && !/^aws:/i.test(String(value)),
  Value: (value) => String(value).length <= 256,
  // EC2 API reference, "DescribeInstances": 5 to 1000, and 200 values of a filter.
  MaxResults: (value) => Number(value) >= 5 && Number(value) <= 1000,
  Values: (value) => Array.isArray(value) && value.length >= 1 && value.length <= 200,
  InstanceIds: (value) => Array.isArray(value) && value.length >= 1 && value.length <= 1000,
};

function oneOf(values: Readonly<Record<string, string>>): (value: unknown) => boolean {
  return (value) => Object.values(values).includes(String(value));
}

/** What is wrong with a command's input, by the model that the SDK carries and by {@link BOUNDS}; nothing when it fits. */
export function faultsOf(command: object): string[] {
  const schema: unknown = Reflect.get(command, "schema");
  const input = Array.isArray(schema) ? (schema as unknown[])[4] : undefined;
  if (input === undefined) {
    throw new TypeError(`${command.constructor.name} carries no schema; the SDK has changed`);
  }
  return check(Reflect.get(command, "input"), input, command.constructor.name);
}

function check(value: unknown, given: unknown, path: string): string[] {
  const schema = resolve(given);
  if (typeof schema === "number") {
    return checkSimple(value, schema, path);
  }
  const [kind, , , , members, types, required = 0] = schema as readonly [
    kind: number,
    namespace: string,
    name: string,
    traits: unknown,
    members: unknown,
    types?: unknown,
    required?: number,
  ];
  if (kind === NAMED) {
    return check(value, members, path);
  }
  if (kind === LIST) {
    return checkItems(value, members, path);
  }
  if (kind === MAP || typeof value !== "object" || value === null) {
    return [`${path} is no structure`];
  }
  if (kind !== STRUCTURE) {
    throw new TypeError(`${path}: a schema of kind ${kind}; the SDK has changed`);
  }
  const names = members as string[];
  const missing = names.slice(0, required).filter((name) => Reflect.get(value, name) === undefined);
  return [
    ...missing.map((name) => `${path}.${name} is required`),
    ...Object.entries(value).flatMap(([name, member]) => {
      const index = names.indexOf(name);
      if (index < 0) {
        return [`${path}.${name} is not in the model`];
      }
      if (member === undefined) {
        return [];
      }
      const faults = check(member, (types as unknown[])[index], `${path}.${name}`);
      return BOUNDS[name]?.(member) === false ? [...faults, `${path}.${name} is out of bounds`] : faults;
    }),
  ];
}

function checkSimple(value: unknown, schema: number, path: string): string[] {
  if (schema >= MAP_OF) {
    return [`${path}: no request has maps`];
  }
  if (schema >= LIST_OF) {
    return checkItems(value, schema - LIST_OF, path);
  }
  return SIMPLE[schema]?.(value) === true ? [] : [`${path} has the wrong type (schema ${schema})`];
}

function checkItems(value: unknown, item: unknown, path: string): string[] {
  return Array.isArray(value)
    ? value.flatMap((each, index) => check(each, item, `${path}[${index}]`))
    : [`${path} is no list`];
}

/** A schema may be given as itself, later (by a function), or with traits. */
function resolve(given: unknown): unknown {
  if (typeof given === "function") {
    return resolve((given as () => unknown)());
  }
  return Array.isArray(given) && given.length === 2 ? resolve((given as unknown[])[0]) : given;
}
