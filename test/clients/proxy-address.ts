import { expect } from "chai";
import { until } from "../router/support/router-bench.ts";
import type { TestProcess } from "../support/process.ts";

/** URL of the local port of a `kubectl satellite proxy` that was started, once it prints the line for docker buildx. */
export async function proxyAddress(proxy: TestProcess): Promise<string> {
  const url = (): string | undefined => /^docker buildx create .* (tcp:\S+)$/m.exec(proxy.logTail(100))?.[1];
  await until(() => url() !== undefined || !proxy.isRunning());
  expect(url(), proxy.logTail()).not.to.equal(undefined);
  return url() ?? "";
}
