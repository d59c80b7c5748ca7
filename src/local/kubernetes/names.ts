import { DNS_LABEL, DNS_SUBDOMAIN } from "../../base/names.ts";

/** Rules for `metadata.name` (Kubernetes documentation, "Object Names and IDs"). */
export type NameRule = "dns-label" | "dns-subdomain" | "path-segment";

/** What is wrong with `name` under `rule`; empty when nothing is. One message for each thing, as apiserver gives. */
export function nameProblems(name: string, rule: NameRule): string[] {
  switch (rule) {
    case "dns-label":
      return dnsProblems(name, 63, DNS_LABEL, "RFC 1123 label");
    case "dns-subdomain":
      return dnsProblems(name, 253, DNS_SUBDOMAIN, "RFC 1123 subdomain");
    case "path-segment":
      return pathSegmentProblems(name);
  }
}

function dnsProblems(name: string, maxLength: number, pattern: RegExp, what: string): string[] {
  const problems: string[] = [];
  if (name.length > maxLength) {
    problems.push(`must be no more than ${maxLength} bytes`);
  }
  if (!pattern.test(name)) {
    problems.push(
      `a lowercase ${what} must consist of lower case alphanumeric characters or '-'` +
        `${what.endsWith("subdomain") ? ", '.'" : ""}, and must start and end with an alphanumeric character ` +
        `(regex used for validation is '${pattern.source}')`,
    );
  }
  return problems;
}

function pathSegmentProblems(name: string): string[] {
  if (name === "." || name === "..") {
    return [`may not be '${name}'`];
  }
  return ["/", "%"]
    .filter((character) => name.includes(character))
    .map((character) => `may not contain '${character}'`);
}
