import { expect } from "chai";
import { ObjectCache } from "../../src/kube/cache.ts";
import { KubeError } from "../../src/kube/errors.ts";
import { SatelliteView } from "../../src/router/satellite-view.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("SatelliteView", () => {
  it("asks once a second for a name that is not there, and remembers the last 1,000 of them", async () => {
    const clock = new VirtualClock();
    const asked: string[] = [];
    const view = new SatelliteView({
      cache: new ObjectCache<Satellite>({ clock, logger: silentLogger }),
      api: {
        get: (key: string) => {
          asked.push(key);
          return Promise.reject(new KubeError({ reason: "NotFound", status: 404, message: "there is none" }));
        },
      } as never,
      clock,
    });
    const first = await view.lookUp("apps/first");
    await view.lookUp("apps/first");
    expect([first, asked]).to.deep.equal([undefined, ["apps/first"]]);

    for (let number = 1; number < 1000; number += 1) {
      await view.lookUp(`apps/${number}`);
    }
    await view.lookUp("apps/first");
    expect(asked).to.have.length(1000);

    await view.lookUp("apps/one-more");
    await view.lookUp("apps/first");
    expect(asked.slice(1000)).to.deep.equal(["apps/one-more", "apps/first"]);

    await clock.advance(1001);
    await view.lookUp("apps/first");
    expect(asked.at(-1)).to.equal("apps/first");
    expect(asked).to.have.length(1003);
  });
});
