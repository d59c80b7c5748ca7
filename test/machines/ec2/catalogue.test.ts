import { expect } from "chai";
import type { AwsClients } from "../../../src/machines/ec2/aws-clients.ts";
import { Catalogue } from "../../../src/machines/ec2/catalogue.ts";
import type { Call, Ec2Calls } from "../../../src/machines/ec2/ec2-calls.ts";
import { CloudError } from "../../../src/machines/errors.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** A catalogue of a region where every question has the same answer. */
function catalogueOf(answer: Readonly<Record<string, unknown>>): Catalogue {
  const clients = { read: { send: () => Promise.resolve(answer) } } as unknown as AwsClients;
  const calls = {
    call: <T>({ send }: Call<T>): Promise<T> => send(new AbortController().signal),
  } as unknown as Ec2Calls;
  return new Catalogue(clients, calls, new VirtualClock());
}

const groups = (count: number): { SecurityGroups: { GroupId: string }[] } => ({
  SecurityGroups: Array.from({ length: count }, (_, index) => ({ GroupId: `sg-${index}` })),
});

describe("the catalogue", () => {
  it("takes as many security groups as a machine can have, and refuses tags that match more", async () => {
    const tags = { team: "a" };
    expect(await catalogueOf(groups(16)).securityGroups({ tags })).to.have.length(16);
    const error: unknown = await catalogueOf(groups(17))
      .securityGroups({ tags })
      .catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(CloudError).and.to.include({ class: "parameter" });
    expect(error).to.have.property("message").that.includes("matches 17 groups");
  });
});
