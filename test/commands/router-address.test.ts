import { expect } from "chai";
import { readAddressOptions, type RouterAddressOptions } from "../../src/commands/router-address.ts";

describe("address options of the router", () => {
  it("are taken as they are", () => {
    const options = { domain: "VM.example", watchNamespace: "team-a", defaultNamespace: "team-a" };
    expect(readAddressOptions({ ...options, defaultSatellite: "team-a/ada.b" })).deep.equal({
      domain: "VM.example",
      onlyNamespace: "team-a",
      defaultNamespace: "team-a",
      defaultSatellite: { namespace: "team-a", name: "ada.b" },
    });
    expect(readAddressOptions({})).deep.equal({});
  });

  const refused: readonly RouterAddressOptions[] = [
    ...["", ".vm.example", "vm.example.", "vm.example:443", "https://vm.example", "*.vm.example", "a b"].map(
      (domain) => ({
        domain,
      }),
    ),
    ...["", "Bad Ns", "a/b", "a.b"].flatMap((name) => [{ watchNamespace: name }, { defaultNamespace: name }]),
    ...["", "ada", "UPPER/c", "a/b/c", "/b", "a/"].map((defaultSatellite) => ({ defaultSatellite })),
  ];
  for (const options of refused) {
    it(`refuse ${JSON.stringify(options)}, which nothing can match`, () => {
      expect(() => readAddressOptions(options))
        .to.throw(/^--[a-z-]+ ".*" matches nothing; write /)
        .with.property("code", "InvalidOption");
    });
  }
});
