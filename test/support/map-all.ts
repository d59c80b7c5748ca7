// Loaded before the router's program: no VM is spliced, so that every request goes the way of those for further VMs.
import { Connector } from "../../src/router/splice/connector.ts";

const route = Reflect.get(Connector.prototype, "route");
Connector.prototype.route = function (this: Connector, upstream, streamId) {
  return route.call(this, upstream, streamId, false);
};
