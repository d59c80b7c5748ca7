import { parseKey } from "../kube/objects.ts";

/** Satellites whose port did not answer the last look, by namespace: each namespace gets as many looks as any other. */
export class SilentPorts {
  readonly #byNamespace = new Map<string, Set<string>>();

  /** @param key "namespace/name" */
  add(key: string): void {
    const namespace = namespaceOf(key);
    const keys = this.#byNamespace.get(namespace) ?? new Set();
    keys.add(key);
    this.#byNamespace.set(namespace, keys);
  }

  delete(key: string): void {
    const namespace = namespaceOf(key);
    const keys = this.#byNamespace.get(namespace);
    keys?.delete(key);
    if (keys?.size === 0) {
      this.#byNamespace.delete(namespace);
    }
  }

  /**
   * How many looks at silent ports come between two at this one. A namespace with a thousand silent ports only slows down the
   * looks at its own.
   */
  besides(key: string): number {
    return (this.#byNamespace.get(namespaceOf(key))?.size ?? 0) * this.#byNamespace.size;
  }
}

function namespaceOf(key: string): string {
  return parseKey(key).namespace ?? "";
}
