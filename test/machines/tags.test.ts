import { expect } from "chai";
import { adoptableBy, MAX_TAG_VALUE, ownerTags } from "../../src/machines/tags.ts";

const CLUSTER = "11111111-0000-4000-8000-000000000000";
const LONGEST = {
  namespace: "n".repeat(63),
  name: "s".repeat(253),
  uid: "22222222-0000-4000-8000-000000000000",
};

describe("tags of a machine", () => {
  it("have values that EC2 takes, however long the satellite's names are", () => {
    for (const [key, value] of Object.entries(ownerTags(CLUSTER, LONGEST))) {
      expect(value.length, key).to.be.at.most(MAX_TAG_VALUE);
    }
  });

  it("name who may take it over in full where there is room", () => {
    const value = adoptableBy(CLUSTER, { namespace: "team-a", name: "ada" });
    expect(value).to.equal(`${CLUSTER}/team-a/ada`);
  });

  it("name who may take it over by a digest where there is none, another one for each satellite", () => {
    const values = ["s", "t"].map((end) =>
      adoptableBy(CLUSTER, { ...LONGEST, name: LONGEST.name.slice(1) + end }),
    );
    expect(values[0]).to.match(/^sha256:[0-9a-f]{64}$/);
    expect(values[0]).to.not.equal(values[1]);
  });
});
