import { expect } from "chai";
import { readDetails } from "../../src/machines/ec2/launch-details.ts";
import { toRunInstances } from "../../src/machines/ec2/run-instances.ts";
import { CLASS, createAccount, launchRequest } from "../machines/ec2/ec2-account.ts";
import { satelliteClass } from "./fixtures.ts";
import { intentOf, planOf } from "../../src/operator/launch-request.ts";

describe("a launch that a version before has planned", () => {
  it("is sent as the same request, so that its token makes the same machine", async () => {
    const account = createAccount();
    const ec2 = {
      ...CLASS,
      rootVolume: { sizeGiB: 100, type: "io2", iops: 4000, throughput: 500, kmsKeyID: "alias/a" },
      instanceProfile: "builder",
    };
    const { plan } = await account.run(account.cloud.resolve(launchRequest({ classSpec: { ec2 } })));
    const intent = intentOf(plan, "large", satelliteClass());
    const { details, ...rest } = intent;
    expect(details).to.have.property("instanceProfile", "builder");
    const { securityGroups, ...others } = readDetails(plan);
    const older = { ...rest, ...others, securityGroups: [...securityGroups] };
    const requests = [intent, older].map((one) => toRunInstances(planOf(one), "/dev/xvda", "user data"));
    expect(requests[1]).to.deep.equal(requests[0]);
    expect(planOf({ ...older, instanceProfile: "another" }).details).not.to.deep.equal(plan.details);
  });

  it("is planned anew where nobody has written its details", () => {
    expect(() => planOf({ attempt: 0, token: "t" })).to.throw("CRDs are those of the operator's version");
  });
});
