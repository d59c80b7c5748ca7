import { expect } from "chai";
import { stopAfterEach, stopAll } from "./stops.ts";

describe("what tests have begun", () => {
  const ended: string[] = [];
  const stops = stopAfterEach();

  it("is not ended before the test has", () => {
    stops.push(
      () => ended.push("first"),
      () => Promise.resolve().then(() => ended.push("second")),
      () => ended.push("third"),
    );
    expect(ended).to.deep.equal([]);
  });

  it("is ended after it, the last one first, and once", () => {
    expect(ended).to.deep.equal(["third", "second", "first"]);
    expect(stops).to.deep.equal([]);
  });

  it("is ended although another one fails, which is told", async () => {
    const done: string[] = [];
    const failing = [
      () => done.push("first"),
      () => Promise.reject(new Error("it hangs")),
      () => done.push("third"),
    ];
    const outcome = await stopAll(failing).then(
      () => "ended",
      (error: unknown) => String(error),
    );
    expect(outcome).to.include("it hangs");
    expect(done).to.deep.equal(["third", "first"]);
  });
});
