import type { parse } from "@bufbuild/cel";
import { escapePropertyName } from "./cel-values.ts";
import type { StructuralSchema } from "./structural-schema.ts";

/** A parsed CEL expression. */
export type CelExpression = ReturnType<typeof parse>["expr"];

/** What the checker knows about a rule's surroundings. */
export interface CheckContext {
  /** Schema of `self`, and of `oldSelf` where it is not optional. */
  readonly schema: StructuralSchema;
  /** Whether `self` is a whole resource, which also has apiVersion, kind and metadata. */
  readonly isRoot: boolean;
  readonly optionalOldSelf: boolean;
  /** Whether a function of that name exists. */
  readonly knowsFunction: (name: string) => boolean;
}

/** What the checker found out. */
export interface CheckResult {
  readonly problems: string[];
  readonly usesOldSelf: boolean;
}

/** The schema of a value; undefined where it is not known (`dyn`). */
type Type = StructuralSchema | undefined;

const METADATA: StructuralSchema = {
  type: "object",
  properties: { name: { type: "string" }, generateName: { type: "string" } },
};
const TYPE_NAMES = new Set(
  "bool bytes double duration int list map null_type string timestamp type uint dyn".split(" "),
);
// Resolved by the planner itself, not through the function table.
const PLANNED_FUNCTIONS = new Set(["dyn", "type", "has"]);

/**
 * Finds names that a rule could not resolve at run time: unknown variables, unknown functions, and fields that
 * the schema does not declare. kube-apiserver's compiler refuses a CRD for the same reasons.
 */
export function checkExpression(expression: CelExpression, context: CheckContext): CheckResult {
  const checker = new Checker(context);
  checker.check(expression, new Map());
  return { problems: checker.problems, usesOldSelf: checker.usesOldSelf };
}

class Checker {
  readonly problems: string[] = [];
  usesOldSelf = false;
  readonly #context: CheckContext;
  readonly #self: StructuralSchema;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#self = context.isRoot ? withTypeMeta(context.schema) : context.schema;
  }

  check(expression: CelExpression | undefined, variables: ReadonlyMap<string, Type>): Type {
    const kind = expression?.exprKind;
    switch (kind?.case) {
      case "identExpr":
        return this.#variable(kind.value.name, variables);
      case "selectExpr":
        return this.#select(kind.value, variables);
      case "callExpr":
        return this.#call(kind.value, variables);
      case "listExpr":
        kind.value.elements.forEach((element) => this.check(element, variables));
        return undefined;
      case "structExpr":
        this.#struct(kind.value, variables);
        return undefined;
      case "comprehensionExpr":
        return this.#comprehension(kind.value, variables);
      case "constExpr":
      case undefined:
        return undefined;
    }
  }

  #variable(name: string, variables: ReadonlyMap<string, Type>): Type {
    if (variables.has(name)) {
      return variables.get(name);
    }
    if (name === "self") {
      return this.#self;
    }
    if (name === "oldSelf") {
      this.usesOldSelf = true;
      return this.#context.optionalOldSelf ? undefined : this.#self;
    }
    if (!TYPE_NAMES.has(name)) {
      this.problems.push(`undeclared reference to '${name}'`);
    }
    return undefined;
  }

  #select(select: Select, variables: ReadonlyMap<string, Type>): Type {
    const operand = this.check(select.operand, variables);
    if (operand === undefined) {
      return undefined;
    }
    const { properties, additionalProperties } = operand;
    const name = Object.keys(properties ?? {}).find((key) => escapePropertyName(key) === select.field);
    if (name !== undefined) {
      return properties?.[name];
    }
    if (typeof additionalProperties === "object") {
      return additionalProperties;
    }
    this.problems.push(`undefined field '${select.field}'`);
    return undefined;
  }

  #call(call: Call, variables: ReadonlyMap<string, Type>): Type {
    const qualifiedName = qualifiedFunction(call);
    if (qualifiedName !== undefined && this.#context.knowsFunction(qualifiedName)) {
      call.args.forEach((argument) => this.check(argument, variables));
      return undefined;
    }
    const isOperator = !/^[A-Za-z]/.test(call.function);
    if (!isOperator && !PLANNED_FUNCTIONS.has(call.function) && !this.#context.knowsFunction(call.function)) {
      this.problems.push(`unknown function '${call.function}'`);
    }
    if (call.target !== undefined) {
      this.check(call.target, variables);
    }
    const types = call.args.map((argument) => this.check(argument, variables));
    return resultType(call, types, this.#self);
  }

  #struct(struct: Struct, variables: ReadonlyMap<string, Type>): void {
    if (struct.messageName !== "") {
      this.problems.push(`unknown type '${struct.messageName}'`);
    }
    for (const entry of struct.entries) {
      if (entry.keyKind.case === "mapKey") {
        this.check(entry.keyKind.value, variables);
      }
      this.check(entry.value, variables);
    }
  }

  #comprehension(loop: Comprehension, variables: ReadonlyMap<string, Type>): Type {
    const range = this.check(loop.iterRange, variables);
    const inner = new Map(variables)
      .set(loop.iterVar, range?.type === "array" ? range.items : undefined)
      .set(loop.accuVar, undefined);
    this.check(loop.accuInit, variables);
    this.check(loop.loopCondition, inner);
    this.check(loop.loopStep, inner);
    this.check(loop.result, inner);
    return undefined;
  }
}

type Kind = NonNullable<CelExpression["exprKind"]>;
type Select = Extract<Kind, { case: "selectExpr" }>["value"];
type Call = Extract<Kind, { case: "callExpr" }>["value"];
type Struct = Extract<Kind, { case: "structExpr" }>["value"];
type Comprehension = Extract<Kind, { case: "comprehensionExpr" }>["value"];

/** `sets.contains` for a call that is written like a method on a name. */
function qualifiedFunction(call: Call): string | undefined {
  const target = call.target?.exprKind;
  return target?.case === "identExpr" ? `${target.value.name}.${call.function}` : undefined;
}

function resultType(call: Call, types: readonly Type[], self: StructuralSchema): Type {
  const [first, second] = types;
  switch (call.function) {
    case "_[_]":
      return (
        first?.items ??
        (typeof first?.additionalProperties === "object" ? first.additionalProperties : undefined)
      );
    case "_?_:_":
      return second;
    case "value":
      return call.target?.exprKind.case === "identExpr" && call.target.exprKind.value.name === "oldSelf"
        ? self
        : undefined;
    default:
      return undefined;
  }
}

function withTypeMeta(schema: StructuralSchema): StructuralSchema {
  return {
    ...schema,
    properties: {
      ...schema.properties,
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: METADATA,
    },
  };
}
