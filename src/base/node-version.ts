/**
 * What is wrong with the Node.js that runs this, if anything: an older one would fail at whatever it does not know first.
 *
 * @param version `process.versions.node`
 * @param wanted `engines.node` of package.json: `>=` and the oldest version
 */
export function nodeProblem(version: string, wanted: string): string | undefined {
  const numbers = (text: string): number[] => text.split(".").map((part) => Number.parseInt(part, 10));
  const oldest = wanted.replace(/^>=/, "");
  const [is, least] = [numbers(version), numbers(oldest)];
  const at = least.findIndex((number, index) => number !== is[index]);
  return at < 0 || (is[at] ?? 0) > (least[at] ?? 0)
    ? undefined
    : `error: Node.js ${oldest} or newer is needed, and the node that PATH leads to is ${version}: install a newer one, or use ` +
        "the image, which has its own";
}
