import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { LuaFactory } from "wasmoon";
import { parse } from "yaml";
import { renderStatus } from "../../src/operator/render-status.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { satellite } from "../operator/fixtures.ts";
import { observation } from "../operator/observation.ts";

const FOLDER = join(import.meta.dirname, "../../docs/argocd/satellites.dev/_");

interface Health {
  readonly status: string;
  readonly message: string;
}

/** The file in which Argo CD's repository keeps the cases of a health check. */
const { tests } = parse(readFileSync(join(FOLDER, "health_test.yaml"), "utf8")) as {
  tests: { healthStatus: Health; inputPath: string }[];
};

/** Runs the script as Argo CD does: the object is the global `obj`, as tables. */
async function healthOf(object: unknown): Promise<Health> {
  const lua = await new LuaFactory().createEngine({ enableProxy: false });
  try {
    lua.global.set("obj", object);
    return (await lua.doString(readFileSync(join(FOLDER, "health.lua"), "utf8"))) as Health;
  } finally {
    lua.global.close();
  }
}

describe("the health check for Argo CD", () => {
  for (const { healthStatus, inputPath } of tests) {
    it(`takes ${inputPath} for ${healthStatus.status}`, async () => {
      const object: unknown = parse(readFileSync(join(FOLDER, inputPath), "utf8"));
      expect({ ...(await healthOf(object)) }).to.deep.equal(healthStatus);
    });
  }

  it("has a case for each object that lies there", () => {
    expect(tests.map(({ inputPath }) => inputPath).toSorted()).to.deep.equal(
      readdirSync(join(FOLDER, "testdata"))
        .map((file) => `testdata/${file}`)
        .toSorted(),
    );
  });

  it("understands the status that the operator writes", async () => {
    const written = (power: Satellite["status"]["power"]["state"], conditions: object = {}): object => {
      const seen = satellite({
        spec: { desiredPower: "on" },
        status: { power: { state: power, epoch: 1, accepted: true, fence: 0 }, ...conditions },
      });
      const o = observation({ satellite: { ...seen, metadata: { ...seen.metadata, generation: 3 } } });
      return JSON.parse(JSON.stringify({ ...o.satellite, status: renderStatus(o) })) as object;
    };
    const lost = {
      conditions: [
        {
          type: "Healthy",
          status: "False",
          reason: "MachineLost",
          message: "it is gone",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    };
    expect((await healthOf(written("Running"))).status).to.equal("Healthy");
    expect((await healthOf(written("Starting"))).status).to.equal("Progressing");
    expect(await healthOf(written("Off", lost))).to.include({
      status: "Degraded",
      message: "MachineLost: it is gone",
    });
  });
});
