import { expect } from "chai";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { connectGuest } from "../../src/guest/client.ts";
import { TestSystem } from "./local-system.ts";

const LOCAL_CLASS = join(import.meta.dirname, "../../examples/local/class.yaml");

/** What people get to see who ask for the wrong thing, and that it goes right once they mend it. */
describe("bad input", function () {
  this.timeout(120_000);
  let test: TestSystem;

  before(async () => {
    test = await TestSystem.start({ virtualVms: { delayMs: 200 } });
  });
  after(() => test?.destroy());

  function manifest(text: string): string {
    const file = join(test.stateDir, "manifest.yaml");
    writeFileSync(file, text);
    return file;
  }

  const satellite = (spec: string, name = "bad"): string =>
    `apiVersion: satellites.dev/v1alpha1\nkind: Satellite\nmetadata: {name: ${name}}\nspec: {${spec}}\n`;

  const condition = (name: string, type: string): Promise<string> =>
    test.kubectlPrints(
      "get",
      "satellite",
      name,
      "-o",
      `jsonpath={range .status.conditions[?(@.type=="${type}")]}{.status} {.reason}: {.message}{end}`,
    );

  describe("in a manifest", () => {
    const cases: readonly {
      readonly title: string;
      readonly text: string;
      readonly says: readonly string[];
    }[] = [
      {
        title: "a bare on, which is a boolean in YAML",
        text: satellite("desiredPower: on"),
        says: [
          'spec.desiredPower in body must be of type string: "boolean"',
          'spec.desiredPower: Unsupported value: true: supported values: "on", "off"',
        ],
      },
      {
        title: "a bare off",
        text: satellite("desiredPower: off"),
        says: ['spec.desiredPower: Unsupported value: false: supported values: "on", "off"'],
      },
      {
        title: "a duration in words",
        text: satellite("idleTimeout: 5 minutes"),
        says: ['spec.idleTimeout: Invalid value: "5 minutes": must be a duration such as "30m" or "1h30m"'],
      },
      {
        title: "a duration below zero",
        text: satellite("idleTimeout: -1h"),
        says: ['spec.idleTimeout: Invalid value: "-1h": must be a duration such as "30m" or "1h30m"'],
      },
      {
        title: "an idle timeout that is too short",
        text: satellite("idleTimeout: 4s"),
        says: ['spec.idleTimeout: Invalid value: "4s": must be "0s" (never sleep) or at least "5s"'],
      },
      {
        title: "an idle timeout without a unit",
        text: satellite("idleTimeout: 30"),
        says: ['spec.idleTimeout in body must be of type string: "integer"'],
      },
      {
        title: "a drain timeout that is too long",
        text: satellite("drainTimeout: 25h"),
        says: ['spec.drainTimeout: Invalid value: "25h": must be at most "24h"'],
      },
      {
        title: "a drain timeout that is none",
        text: satellite("drainTimeout: soon"),
        says: ['spec.drainTimeout: Invalid value: "soon": must be a duration such as "30s" or "5m"'],
      },
      {
        title: "a word that a field does not know",
        text: satellite("wakePolicy: never"),
        says: ['spec.wakePolicy: Unsupported value: "never": supported values: "OnRequest", "Manual"'],
      },
      {
        title: "a field that does not exist",
        text: satellite("idelTimeout: 30m"),
        says: ['unknown field "spec.idelTimeout"'],
      },
      {
        title: "a port that does not exist",
        text: satellite("port: 99999"),
        says: ["spec.port in body should be less than or equal to 65535"],
      },
      {
        title: "a name that is none",
        text: satellite("", "Not_A_Name"),
        says: ['metadata.name: Invalid value: "Not_A_Name"', "lowercase RFC 1123 subdomain"],
      },
      {
        title: "a kind that does not exist",
        text: satellite("").replace("kind: Satellite", "kind: Satelite"),
        says: ['no matches for kind "Satelite" in version "satellites.dev/v1alpha1"'],
      },
      {
        title: "a version that does not exist",
        text: satellite("").replace("v1alpha1", "v1"),
        says: ['no matches for kind "Satellite" in version "satellites.dev/v1"'],
      },
      {
        title: "YAML that is broken",
        text: satellite("").replace("}", ""),
        says: ["error converting YAML to JSON: yaml: line 3"],
      },
    ];
    for (const { title, text, says } of cases) {
      it(`is refused: ${title}`, async () => {
        const { code, stderr } = await test.kubectl("apply", "-f", manifest(text));
        expect(code).to.equal(1);
        for (const words of says) {
          expect(stderr).to.contain(words);
        }
        expect(await test.kubectlPrints("get", "satellites", "-o", "name")).to.equal("");
      });
    }
  });

  it("a class that does not exist: status, event and router say so, and creating it heals", async () => {
    await test.kubectlPrints("apply", "-f", manifest(satellite("className: gpu", "classless")));
    await test.untilPhase("classless", "Failed");
    const message =
      'there is no SatelliteClass "gpu"; create it, or delete this satellite and name another class';
    expect(await condition("classless", "Ready")).to.equal(`False ClassNotFound: ${message}`);
    expect(await test.kubectlPrints("describe", "satellite", "classless")).to.match(
      /Warning +ClassNotFound .* there is no SatelliteClass "gpu"; create it/,
    );
    const call: unknown = await test
      .connect("classless")
      .describe(30_000)
      .catch((error: unknown) => error);
    expect(call).to.include({ code: status.FAILED_PRECONDITION });
    expect((call as ServiceError).details).to.contain(message);
    expect((call as ServiceError).metadata.get("satellite-reason")).to.deep.equal(["ClassNotFound"]);

    const gpu = readFileSync(LOCAL_CLASS, "utf8").replace("name: default", "name: gpu");
    await test.kubectlPrints("apply", "-f", manifest(gpu));
    await test.kubectlPrints("wait", "satellite/classless", "--for=condition=Ready", "--timeout=60s");
    expect((await test.connect("classless").describe(30_000)).calls).to.be.greaterThan(0);
    await test.kubectlPrints("delete", "satellite", "classless", "--timeout=60s");
  });

  it("a size that the class lacks: the status names those that it has, and choosing one heals", async () => {
    await test.kubectlPrints("apply", "-f", manifest(satellite("size: giant", "sizeless")));
    await test.untilPhase("sizeless", "Failed");
    expect(await condition("sizeless", "Ready")).to.equal(
      'False SizeUnknown: SatelliteClass default has no size "giant"; set spec.size to one of: large, small',
    );
    await test.kubectlPrints(
      "patch",
      "satellite",
      "sizeless",
      "--type=merge",
      "-p",
      '{"spec":{"size":"small"}}',
    );
    await test.kubectlPrints("wait", "satellite/sizeless", "--for=condition=Ready", "--timeout=60s");
    await test.kubectlPrints("delete", "satellite", "sizeless", "--timeout=60s");
  });

  describe("in a request", () => {
    async function refused(fields: Readonly<Record<string, string>>): Promise<ServiceError> {
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(fields)) {
        metadata.set(name, value);
      }
      const guest = connectGuest(test.system.routerAddress, { metadata });
      try {
        await guest.describe(30_000);
        throw new Error("the request was not refused");
      } catch (error) {
        return error as ServiceError;
      } finally {
        guest.close();
      }
    }

    it("a satellite that does not exist is NOT_FOUND, by its name", async () => {
      const error = await refused({ "satellite-name": "nobody", "satellite-namespace": "team-a" });
      expect(error.code).to.equal(status.NOT_FOUND);
      expect(error.details).to.match(
        /^there is no satellite team-a\/nobody; kubectl get satellites --all-namespaces shows/,
      );
    });

    it("no satellite at all is INVALID_ARGUMENT, with how to name one", async () => {
      const error = await refused({});
      expect(error.code).to.equal(status.INVALID_ARGUMENT);
      expect(error.details).to.contain("send the gRPC metadata satellite-name and satellite-namespace");
      expect(error.details).to.contain("or call the authority <name>.<namespace>.satellites.local");
    });

    it("a name that cannot be one is INVALID_ARGUMENT, and repeated", async () => {
      const error = await refused({ "satellite-name": "Not_A_Name" });
      expect(error.code).to.equal(status.INVALID_ARGUMENT);
      expect(error.details).to.contain('satellite-name "Not_A_Name" is not a Kubernetes object name');
    });

    it("a namespace without a name is INVALID_ARGUMENT", async () => {
      const error = await refused({ "satellite-namespace": "team-a" });
      expect(error.code).to.equal(status.INVALID_ARGUMENT);
      expect(error.details).to.equal("satellite-namespace is given without satellite-name; give both");
    });
  });
});
