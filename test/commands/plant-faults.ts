// Loaded before the router's program: plants errors that nobody catches.
// - a request with the field `x-planted`: in work that all connections share
// - a request for the satellite eve: in the work of its connection
import { Gate } from "../../src/router/gate.ts";
import { firstValue } from "../../src/router/header-list.ts";
import { Connector } from "../../src/router/relay/connector.ts";

const admit = Reflect.get(Gate.prototype, "admit");
Gate.prototype.admit = function (this: Gate, connection, headers, signal) {
  if (firstValue(headers, "x-planted") !== undefined) {
    setImmediate(() => {
      throw new Error("planted in what all share");
    });
  }
  return admit.call(this, connection, headers, signal);
};

const linkTo = Reflect.get(Connector.prototype, "linkTo");
Connector.prototype.linkTo = function (this: Connector, upstream) {
  if (upstream.satellite.endsWith("/eve")) {
    throw new Error("planted in one connection");
  }
  return linkTo.call(this, upstream);
};
