import { expect } from "chai";
import { userDataFor } from "../../src/commands/user-data.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { satelliteClass } from "../operator/fixtures.ts";

const SATELLITE = { spec: { port: 8372 }, status: {} } as Satellite;

function classWith(guest: Partial<SatelliteClass["spec"]["guest"]>): SatelliteClass {
  const known = satelliteClass();
  return { ...known, spec: { ...known.spec, guest: { ...known.spec.guest, ...guest } } };
}

const noSecret = (): Promise<never> => Promise.reject(new Error("no Secret is read"));

describe("the user data of a class", () => {
  it("is made for BuildKit, and empty where the image holds everything", async () => {
    expect(
      await userDataFor(classWith({ kind: "buildkit" }), SATELLITE, {
        hasDataVolume: false,
        readSecret: noSecret,
      }),
    ).to.match(/^#cloud-config\n/);
    expect(
      await userDataFor(classWith({ kind: "image" }), SATELLITE, {
        hasDataVolume: false,
        readSecret: noSecret,
      }),
    ).to.equal("");
  });

  it("may be of a Secret", async () => {
    const custom = classWith({ kind: "custom", userDataSecretRef: { name: "own" } });
    const userData = Buffer.from("#!/bin/sh\n").toString("base64");
    const read = (): Promise<never> => Promise.resolve({ data: { userData } } as never);
    expect(await userDataFor(custom, SATELLITE, { hasDataVolume: false, readSecret: read })).to.equal(
      "#!/bin/sh\n",
    );
    const empty = (): Promise<never> => Promise.resolve({} as never);
    const failure = await userDataFor(custom, SATELLITE, { hasDataVolume: false, readSecret: empty }).catch(
      (error: unknown) => error,
    );
    expect(failure).to.include({ code: "UserDataMissing" });
  });
});
