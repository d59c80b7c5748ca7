import { celEnv, isCelError, parse, plan, type CelInput, type CelResult } from "@bufbuild/cel";
import { SatelliteError, toError } from "../../base/errors.ts";
import { checkExpression } from "./cel-check.ts";
import { KUBERNETES_FUNCTIONS } from "./cel-functions.ts";
import { toCelValue } from "./cel-values.ts";
import { invalid, type FieldError } from "./field-error.ts";
import { asObject, equalJson, isObject, type JsonObject, type JsonValue } from "./json.ts";
import { correlatedItem, type StructuralSchema, type ValidationRule } from "./structural-schema.ts";

type Program = (bindings: Record<string, CelInput>) => CelResult;

interface CompiledRule {
  readonly rule: ValidationRule;
  readonly program: Program;
  readonly messageProgram: Program | undefined;
  readonly usesOldSelf: boolean;
}

/** The compiled rules of a schema, as a tree in the schema's shape; branches without rules are left out. */
interface RuleNode {
  readonly schema: StructuralSchema;
  /** The schema as expressions see it. */
  readonly celSchema: StructuralSchema;
  readonly isRoot: boolean;
  readonly rules: readonly CompiledRule[];
  readonly properties: ReadonlyMap<string, RuleNode>;
  readonly additional: RuleNode | undefined;
  readonly items: RuleNode | undefined;
}

/** Evaluates the rules of one schema. */
export interface RuleSet {
  /**
   * @param object the whole resource
   * @param old the stored resource on updates
   * @returns the rules that do not hold
   */
  validate(object: JsonObject, old: JsonObject | undefined): FieldError[];
}

const env = celEnv({ funcs: KUBERNETES_FUNCTIONS });
const MAX_MESSAGE_LENGTH = 5 * 1024;

/**
 * Compiles the `x-kubernetes-validations` of a resource's schema.
 *
 * @returns undefined when there are none
 * @throws SatelliteError `UnsupportedRule` for a rule that cannot be parsed or names an unknown variable, field or
 *   function: a CRD whose rules this server cannot evaluate stops start-up, rather than being enforced in part
 */
export function compileRules(schema: StructuralSchema, owner: string): RuleSet | undefined {
  const root = compileNode(schema, true, owner, "");
  if (root === undefined) {
    return undefined;
  }
  return { validate: (object, old) => evaluateNode(root, object, old === undefined ? [] : [old], "") };
}

function compileNode(
  schema: StructuralSchema,
  isRoot: boolean,
  owner: string,
  path: string,
): RuleNode | undefined {
  const rules = (schema["x-kubernetes-validations"] ?? []).map((rule) =>
    compileRule(rule, schema, isRoot, `${owner}${path}`),
  );
  const properties = new Map<string, RuleNode>();
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const node = compileNode(
      property,
      property["x-kubernetes-embedded-resource"] === true,
      owner,
      `${path}.${name}`,
    );
    if (node !== undefined) {
      properties.set(name, node);
    }
  }
  const { additionalProperties } = schema;
  const additional =
    typeof additionalProperties === "object"
      ? compileNode(additionalProperties, false, owner, `${path}.*`)
      : undefined;
  const items = schema.items === undefined ? undefined : compileNode(schema.items, false, owner, `${path}[]`);
  const isEmpty =
    rules.length === 0 && properties.size === 0 && additional === undefined && items === undefined;
  const celSchema = isRoot ? withMetadata(schema) : schema;
  return isEmpty ? undefined : { schema, celSchema, isRoot, rules, properties, additional, items };
}

function compileRule(
  rule: ValidationRule,
  schema: StructuralSchema,
  isRoot: boolean,
  where: string,
): CompiledRule {
  const compile = (source: string): { readonly program: Program; readonly usesOldSelf: boolean } => {
    try {
      const parsed = parse(source);
      const { problems, usesOldSelf } = checkExpression(parsed.expr, {
        schema,
        isRoot,
        optionalOldSelf: rule.optionalOldSelf === true,
        knowsFunction: (name) => env.funcs.find(name) !== undefined,
      });
      if (problems.length > 0) {
        throw new Error(problems.join(", "));
      }
      return { program: plan(env, parsed), usesOldSelf };
    } catch (error) {
      throw new SatelliteError(
        "UnsupportedRule",
        `the validation rule ${JSON.stringify(source)} of ${where} cannot be compiled: ${toError(error).message}; ` +
          "mend the rule, or write it with the functions that the embedded API server knows",
        { cause: error },
      );
    }
  };
  const { program, usesOldSelf } = compile(rule.rule);
  const messageProgram =
    rule.messageExpression === undefined ? undefined : compile(rule.messageExpression).program;
  return { rule, program, messageProgram, usesOldSelf };
}

/** `old` holds the counterpart of `value`, or nothing when there is none. */
function evaluateNode(
  node: RuleNode,
  value: JsonValue,
  old: readonly JsonValue[],
  path: string,
): FieldError[] {
  // Rules apply to values that are set; null counts as not set.
  if (value === null) {
    return [];
  }
  const sides = new Sides(node, value, old);
  const errors = node.rules.flatMap((rule) => evaluateRule(rule, sides, path));
  if (Array.isArray(value)) {
    const { items, schema } = node;
    return items === undefined
      ? errors
      : errors.concat(
          value.flatMap((item, index) => {
            const counterpart = correlatedItem(schema, item, old[0]);
            const oldItem = counterpart === undefined ? [] : [counterpart];
            return evaluateNode(items, item, oldItem, `${path}[${index}]`);
          }),
        );
  }
  if (!isObject(value)) {
    return errors;
  }
  const oldObject = asObject(old[0]);
  for (const [name, child] of Object.entries(value)) {
    const isDeclared = Object.hasOwn(node.schema.properties ?? {}, name);
    const childNode = isDeclared ? node.properties.get(name) : node.additional;
    if (childNode !== undefined) {
      const oldChild = Object.hasOwn(oldObject, name) ? [oldObject[name] ?? null] : [];
      // Keys of maps are shown in brackets, names of fields behind a dot.
      const childField = isDeclared ? (path === "" ? name : `${path}.${name}`) : `${path}[${name}]`;
      errors.push(...evaluateNode(childNode, child, oldChild, childField));
    }
  }
  return errors;
}

/** A value and its counterpart as expressions see them; each is converted once, when a rule first needs it. */
class Sides {
  readonly node: RuleNode;
  readonly value: JsonValue;
  /** Nothing, or the stored value. */
  readonly old: readonly JsonValue[];
  #self: CelInput | undefined;
  #oldSelf: readonly CelInput[] | undefined;
  #isUnchanged: boolean | undefined;

  constructor(node: RuleNode, value: JsonValue, old: readonly JsonValue[]) {
    this.node = node;
    this.value = value;
    this.old = old[0] === null ? [] : old;
  }

  get isUnchanged(): boolean {
    this.#isUnchanged ??= this.old.length > 0 && equalJson(this.old[0], this.value);
    return this.#isUnchanged;
  }

  bindings({ rule, usesOldSelf }: CompiledRule): Record<string, CelInput> {
    this.#self ??= this.#toCel(this.value);
    if (!usesOldSelf) {
      return { self: this.#self };
    }
    this.#oldSelf ??= this.old.map((side) => this.#toCel(side));
    return {
      self: this.#self,
      oldSelf: rule.optionalOldSelf === true ? [...this.#oldSelf] : (this.#oldSelf[0] ?? null),
    };
  }

  #toCel(side: JsonValue): CelInput {
    const { isRoot, celSchema } = this.node;
    return toCelValue(isRoot ? asResource(side) : side, celSchema);
  }
}

function evaluateRule(compiled: CompiledRule, sides: Sides, path: string): FieldError[] {
  const { rule, program, usesOldSelf } = compiled;
  const { node, value, old } = sides;
  const isMissing = usesOldSelf && old.length === 0 && rule.optionalOldSelf !== true;
  // A value that did not change may break a rule that was added later (KEP-4008).
  if (isMissing || (!usesOldSelf && sides.isUnchanged)) {
    return [];
  }
  const bindings = sides.bindings(compiled);
  const result = program(bindings);
  const field = `${path}${rule.fieldPath ?? ""}`.replace(/^\./, "");
  if (isCelError(result)) {
    return [invalid(path, node.schema.type ?? "", `${result.message} evaluating rule: ${ruleText(rule)}`)];
  }
  return result === true ? [] : [errorFor(compiled, field, shownValue(value, node.schema), bindings)];
}

const NAME_SCHEMA: StructuralSchema = { type: "string" };

function withMetadata(schema: StructuralSchema): StructuralSchema {
  const metadata = { type: "object", properties: { name: NAME_SCHEMA, generateName: NAME_SCHEMA } };
  return {
    ...schema,
    properties: { ...schema.properties, apiVersion: NAME_SCHEMA, kind: NAME_SCHEMA, metadata },
  };
}

/** Rules see only name and generateName of a resource's metadata. */
function asResource(value: JsonValue): JsonValue {
  if (!isObject(value)) {
    return value;
  }
  const { name, generateName } = asObject(value["metadata"]);
  return {
    ...value,
    metadata: {
      ...(name === undefined ? {} : { name }),
      ...(generateName === undefined ? {} : { generateName }),
    },
  };
}

function errorFor(
  { rule, messageProgram }: CompiledRule,
  field: string,
  value: JsonValue | undefined,
  bindings: Record<string, CelInput>,
): FieldError {
  const detail =
    evaluatedMessage(messageProgram, bindings) ?? rule.message?.trim() ?? `failed rule: ${ruleText(rule)}`;
  const shown = field === "" ? "<nil>" : field;
  switch (rule.reason) {
    case "FieldValueForbidden":
      return { type: "FieldValueForbidden", field: shown, detail };
    case "FieldValueRequired":
      return { type: "FieldValueRequired", field: shown, detail };
    case "FieldValueDuplicate":
      return {
        type: "FieldValueDuplicate",
        field: shown,
        detail: "",
        ...(value === undefined ? {} : { value }),
      };
    case undefined:
    default:
      return invalid(shown, value, detail);
  }
}

function evaluatedMessage(
  program: Program | undefined,
  bindings: Record<string, CelInput>,
): string | undefined {
  const result = program?.(bindings);
  if (typeof result !== "string") {
    return undefined;
  }
  const text = result.trim();
  return text === "" || text.includes("\n") || text.length > MAX_MESSAGE_LENGTH ? undefined : text;
}

function shownValue(value: JsonValue, schema: StructuralSchema): JsonValue | undefined {
  return schema.type === "object" || schema.type === "array" ? undefined : value;
}

function ruleText(rule: ValidationRule): string {
  return rule.rule.trim();
}
