// Loaded before the router's program: plants errors that nobody catches.
// - a request with the field `x-planted`: in work that all connections share
// - a request for the satellite eve: in the work of its connection, behind its back
import { nextTick } from "node:process";

import { Gate } from "../../src/router/gate.ts";
import { firstValue } from "../../src/router/header-list.ts";
import { Upstreams } from "../../src/router/stream/upstreams.ts";

const admit = Reflect.get(Gate.prototype, "admit");
Gate.prototype.admit = function (this: Gate, connection, headers, signal) {
  if (firstValue(headers, "x-planted") !== undefined) {
    setImmediate(() => {
      throw new Error("planted in what all share");
    });
  }
  return admit.call(this, connection, headers, signal);
};

const session = Reflect.get(Upstreams.prototype, "session");
Upstreams.prototype.session = function (this: Upstreams, upstream) {
  if (upstream.satellite.endsWith("/eve")) {
    nextTick(() => {
      throw new Error("planted in one connection");
    });
  }
  return session.call(this, upstream);
};
