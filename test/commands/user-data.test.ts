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
    expect(await userDataFor(classWith({ kind: "buildkit" }), SATELLITE, noSecret)).to.match(
      /^#cloud-config\n/,
    );
    expect(await userDataFor(classWith({ kind: "image" }), SATELLITE, noSecret)).to.equal("");
  });

  it("is refused, with what to shorten, where EC2 would not take it", async () => {
    const certificates = `${"x".repeat(63)}\n`.repeat(128);
    const large = classWith({
      kind: "buildkit",
      caCertificates: certificates,
      extraConfig: certificates,
    });
    const failure = await userDataFor(large, SATELLITE, noSecret).catch((error: unknown) => error);
    expect(failure).to.include({ code: "UserDataTooLong" });
    expect((failure as Error).message).to.match(
      /^the user data has \d+ bytes, and EC2 takes 16384; shorten /,
    );
  });

  it("may be of a Secret, within the same bound", async () => {
    const custom = classWith({ kind: "custom", userDataSecretRef: { name: "own" } });
    const secret = (text: string) => (): Promise<never> =>
      Promise.resolve({ data: { userData: Buffer.from(text).toString("base64") } } as never);
    expect(await userDataFor(custom, SATELLITE, secret("#!/bin/sh\n"))).to.equal("#!/bin/sh\n");
    const failure = await userDataFor(custom, SATELLITE, secret("x".repeat(16_385))).catch(
      (error: unknown) => error,
    );
    expect(failure).to.include({ code: "UserDataTooLong" });
  });
});
