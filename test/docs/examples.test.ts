import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseAllDocuments } from "yaml";
import { readCrdFile } from "../../src/local/kubernetes/crd.ts";
import type { JsonObject } from "../../src/local/kubernetes/json.ts";
import { TestApi } from "../local/kubernetes/support.ts";

const ROOT = join(import.meta.dirname, "../..");

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function pathOf({ kind, metadata }: Manifest): string {
  const group = "/apis/satellites.dev/v1alpha1";
  return kind === "SatelliteClass"
    ? `${group}/satelliteclasses`
    : `${group}/namespaces/${metadata.namespace ?? "default"}/satellites`;
}

describe("the examples", () => {
  const crds = globSync(join(ROOT, "crds/*.yaml")).map((file) => readCrdFile(file));

  for (const file of globSync(join(ROOT, "examples/{aws,local}/*.yaml")).toSorted()) {
    it(`${relative(ROOT, file)} is taken as it is, without a field that the API does not have`, () => {
      const api = new TestApi({ crds });
      // What `satellites local` puts in (buildkit-class.ts).
      const text = readFileSync(file, "utf8").replace("$VERSION", "1.2.3").replace("$SHA256", "0".repeat(64));
      const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
      expect(manifests).not.to.have.length(0);
      api.call("POST", "/api/v1/namespaces", { metadata: { name: "team-a" } });
      for (const manifest of manifests) {
        const path = `${pathOf(manifest)}?fieldValidation=Strict`;
        const { status, body } = api.call("POST", path, manifest as unknown as JsonObject);
        expect(status, JSON.stringify(body)).to.equal(201);
      }
    });
  }
});
