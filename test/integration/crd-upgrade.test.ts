import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { SatelliteClass, Satellite } from "../../src/satellite/types.ts";
import { installCrds } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const NAMES = ["satellites.satellites.dev", "satelliteclasses.satellites.dev"];
const STATUS = {
  observedGeneration: 1,
  machine: { id: "i-00000000000000001" },
  power: { state: "Running", epoch: 3, accepted: true, fence: 0 },
  phase: "Running",
};

interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly deprecated?: boolean;
}

interface Definition {
  readonly spec: { readonly versions: readonly Version[] };
  readonly status?: { readonly storedVersions: readonly string[] };
}

type Thing = Pick<Satellite, "metadata"> & {
  readonly apiVersion: string;
  readonly spec: object;
  readonly status?: object;
};

/** The steps of CHANGELOG.md by which v1alpha1 becomes v1beta1, on objects that were stored before each. */
describe("the way of the CRDs to v1beta1", function () {
  this.timeout(120_000);
  let server: KubeApiServer;
  const schemas = new Map<string, Version>();

  const satellites = (version: string, name = ""): string =>
    `/apis/satellites.dev/${version}/namespaces/default/satellites${name === "" ? "" : `/${name}`}`;
  const classes = (version: string, name: string): string =>
    `/apis/satellites.dev/${version}/satelliteclasses/${name}`;

  before(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
    for (const file of globSync(join(import.meta.dirname, "../../crds/*.yaml"))) {
      const { metadata, spec } = parse(readFileSync(file, "utf8")) as {
        metadata: { name: string };
        spec: { versions: [Version] };
      };
      schemas.set(metadata.name, spec.versions[0]);
    }
  });
  after(() => server?.stop());

  async function ask<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await server.admin.request(method, path, body);
    expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).to.be.lessThan(300);
    return answer.body as T;
  }

  /** Serves these versions, all with the schema of crds/, and waits until the API server does. */
  async function serve(
    alpha: Partial<Version> | undefined,
    beta: Partial<Version> | undefined,
  ): Promise<void> {
    for (const name of NAMES) {
      const schema = schemas.get(name);
      const versions = [
        ...(alpha === undefined ? [] : [{ ...schema, name: "v1alpha1", ...alpha }]),
        ...(beta === undefined ? [] : [{ ...schema, name: "v1beta1", ...beta }]),
      ];
      const answer = await server.admin.mergePatch(`${DEFINITIONS}/${name}`, { spec: { versions } });
      expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
    }
    const isServed = (version: string, wanted: boolean): Promise<unknown> =>
      eventually(`${version} is ${wanted ? "" : "not "}served`, async () => {
        const answers = await Promise.all(
          [satellites(version), `/apis/satellites.dev/${version}/satelliteclasses`].map((path) =>
            server.admin.request("GET", path),
          ),
        );
        return answers.every(({ status }) => (status === 200) === wanted);
      });
    await isServed("v1alpha1", alpha?.served === true);
    await isServed("v1beta1", beta?.served === true);
  }

  async function create(version: string, name: string): Promise<void> {
    const body = { apiVersion: `satellites.dev/${version}`, kind: "Satellite", metadata: { name } };
    await ask("POST", satellites(version), { ...body, spec: { idleTimeout: "7m" } });
    const answer = await server.admin.mergePatch(`${satellites(version, name)}/status`, { status: STATUS });
    expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
  }

  /** That each of these is whole in each version. */
  async function expectWhole(versions: readonly string[], names: readonly string[]): Promise<void> {
    for (const version of versions) {
      for (const name of names) {
        const { apiVersion, spec, status } = await ask<Thing>("GET", satellites(version, name));
        expect(apiVersion).to.equal(`satellites.dev/${version}`);
        expect(spec).to.deep.include({ idleTimeout: "7m", className: "default" });
        expect(status).to.deep.include(STATUS);
      }
      const satelliteClass = await ask<SatelliteClass>("GET", classes(version, "default"));
      expect(satelliteClass.spec.ec2).to.include({ region: "eu-west-1" });
    }
  }

  const storedVersions = async (name: string): Promise<readonly string[]> =>
    (await ask<Definition>("GET", `${DEFINITIONS}/${name}`)).status?.storedVersions ?? [];

  it("begins with objects of v1alpha1", async () => {
    await ask("POST", "/apis/satellites.dev/v1alpha1/satelliteclasses", {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "SatelliteClass",
      metadata: { name: "default" },
      spec: {
        ec2: {
          region: "eu-west-1",
          image: { id: "ami-00000000000000001" },
          subnets: { ids: ["subnet-00000000000000001"] },
          securityGroups: { ids: ["sg-00000000000000001"] },
        },
        defaultSize: "small",
        sizes: { small: { types: ["t3.small"] } },
      },
    });
    await create("v1alpha1", "first");
    await expectWhole(["v1alpha1"], ["first"]);
    expect((await server.admin.request("GET", satellites("v1beta1"))).status).to.equal(404);
  });

  it("serves each object under both versions, to writers of either", async () => {
    await serve({ served: true, storage: true }, { served: true, storage: false });
    await create("v1beta1", "second");
    await expectWhole(["v1alpha1", "v1beta1"], ["first", "second"]);
    const { status } = await server.admin.mergePatch(satellites("v1beta1", "first"), {
      spec: { desiredPower: "on" },
    });
    expect(status).to.equal(200);
    expect((await ask<Thing>("GET", satellites("v1alpha1", "first"))).spec).to.include({
      desiredPower: "on",
    });
    expect(await storedVersions(NAMES[0]!)).to.deep.equal(["v1alpha1"]);
  });

  it("goes back to v1alpha1 alone without a loss", async () => {
    await serve({ served: true, storage: true }, undefined);
    await expectWhole(["v1alpha1"], ["first", "second"]);
    await serve({ served: true, storage: true }, { served: true, storage: false });
  });

  it("stores in v1beta1 what is written from then on", async () => {
    await serve({ served: true, storage: false, deprecated: true }, { served: true, storage: true });
    await create("v1alpha1", "third");
    await expectWhole(["v1alpha1", "v1beta1"], ["first", "second", "third"]);
    expect(await storedVersions(NAMES[0]!)).to.deep.equal(["v1alpha1", "v1beta1"]);
  });

  it("cannot drop v1alpha1 before all objects were written anew", async () => {
    const beta = [{ ...schemas.get(NAMES[0]!), name: "v1beta1", served: true, storage: true }];
    const answer = await server.admin.mergePatch(`${DEFINITIONS}/${NAMES[0]!}`, { spec: { versions: beta } });
    expect(answer.status).to.equal(422);
    expect(JSON.stringify(answer.body)).to.contain("storedVersions");
  });

  it("drops v1alpha1 once they were", async () => {
    for (const path of [satellites("v1beta1"), "/apis/satellites.dev/v1beta1/satelliteclasses"]) {
      const { items } = await ask<{ items: Thing[] }>("GET", path);
      expect(items).to.not.be.empty;
      for (const item of items) {
        await ask("PUT", `${path}/${item.metadata.name}`, item);
      }
    }
    for (const name of NAMES) {
      const patch = { status: { storedVersions: ["v1beta1"] } };
      const { status } = await server.admin.mergePatch(`${DEFINITIONS}/${name}/status`, patch);
      expect(status).to.equal(200);
    }
    await serve(undefined, { served: true, storage: true });
    await expectWhole(["v1beta1"], ["first", "second", "third"]);
  });
});
