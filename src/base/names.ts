/** A DNS-1123 label, but for its length (Kubernetes documentation, "Object Names and IDs"). */
export const DNS_LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
/** A DNS-1123 subdomain, but for its length. */
export const DNS_SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const NAME_PART = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** A DNS-1123 label of at most 63 characters. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && DNS_LABEL.test(text);
}

/** A DNS-1123 subdomain of at most 253 characters. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && DNS_SUBDOMAIN.test(text);
}

/** `[prefix/]name`: keys of labels and annotations, finalizers. */
export function isQualifiedName(text: string): boolean {
  const parts = text.split("/");
  const [prefix, name] = parts.length === 2 ? parts : [undefined, parts[0]];
  return (
    parts.length <= 2 &&
    (prefix === undefined || isDnsSubdomain(prefix)) &&
    name !== undefined &&
    name.length <= 63 &&
    NAME_PART.test(name)
  );
}

/** Empty, or at most 63 characters like the name of a qualified name. */
export function isLabelValue(text: string): boolean {
  return text === "" || (text.length <= 63 && NAME_PART.test(text));
}
