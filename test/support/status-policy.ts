import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";

const PAGE = join(import.meta.dirname, "../../docs/security.md");

/** An object of the admission policy that docs/security.md gives. */
export interface PolicyObject {
  readonly kind: string;
  readonly spec: { readonly validations?: readonly { readonly expression: string }[] };
}

/** The objects of the admission policy about the status, as the page gives them. */
export function documentedPolicy(): PolicyObject[] {
  const [, text = ""] =
    /```yaml\n(apiVersion: admissionregistration[\s\S]*?)```/.exec(readFileSync(PAGE, "utf8")) ?? [];
  return parseAllDocuments(text).map((document) => document.toJS() as PolicyObject);
}

/** The users that the page's policy lets write a status, in its order. */
export function documentedAccounts(): string[] {
  const expressions = documentedPolicy().flatMap(({ spec }) => spec.validations ?? []);
  return expressions.flatMap(({ expression }) =>
    [...expression.matchAll(/"([^"]+)"/g)].map(([, account = ""]) => account),
  );
}
