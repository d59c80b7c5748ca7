import { dialVm } from "../vm-dial.ts";
import { dialTcp, type Dial } from "./vm-connection.ts";
import { StreamWire } from "./wire.ts";

/** Dials by TLS where the VM is known by a key, and speaks to that VM alone; else over plain TCP. */
export const dialUpstream: Dial = (upstream, memory, onOpen) => {
  if (upstream.tlsFingerprint === undefined) {
    return dialTcp(upstream, memory, onOpen);
  }
  const wire: StreamWire = new StreamWire(
    dialVm(upstream, () => onOpen(wire), true),
    memory.copies,
  );
  return wire;
};
