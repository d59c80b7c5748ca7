import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { createEc2Endpoint, type Ec2Endpoint } from "../../src/local/ec2/endpoint.ts";
import { listenOn } from "../../src/local/ec2/http-server.ts";
import type { Instance } from "../../src/local/ec2/instance.ts";
import { Ec2Model } from "../../src/local/ec2/model.ts";
import { defaultNetwork } from "../../src/local/ec2/network.ts";
import { DOCUMENTED_LIMITS } from "../../src/local/ec2/request-buckets.ts";
import { VirtualHypervisor } from "../../src/local/ec2/virtual-hypervisor.ts";
import { Tag } from "../../src/machines/tags.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import type { AccountPlace } from "../../test/support/virtual-account.ts";

const REGION = "local-1";
/** As seen with EC2: from StartInstances to running. */
const RESUME_MS = 17_000;
const IMAGE = "ami-0077000000000000a";

/** EC2 as far as the operator sees it, with any number of instances. */
export interface Fleet {
  readonly model: Ec2Model;
  readonly url: string;
  /** What was asked since {@link slowDown}. */
  readonly log: Ec2Endpoint["log"];
  /** Port at which all instances answer. */
  readonly guestPort: number;
  /** From now on EC2's documented limits hold, and changes take as long as they do with EC2; until then they take no time. */
  slowDown(): void;
  stop(): Promise<void>;
}

/** gRPC's UNIMPLEMENTED: what a guest without our agent answers, and proof that it is up. */
const UNIMPLEMENTED = "12";

/**
 * All instances' gRPC port in one server: any address of 127.0.0.0/8 leads to it. It answers for those that run and
 * closes the connection for the others.
 */
async function serveGuests(isUp: (address: string) => boolean): Promise<{ port: number; close(): void }> {
  const guests = createHttp2Server();
  guests.on("stream", (stream) => {
    const headers = { ":status": 200, "content-type": "application/grpc", "grpc-status": UNIMPLEMENTED };
    stream.respond(headers, { endStream: true });
  });
  const server = createServer((socket) => {
    if (isUp(socket.localAddress ?? "")) {
      guests.emit("connection", socket);
    } else {
      socket.resetAndDestroy();
    }
  });
  server.listen(0, "0.0.0.0");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** On loopback, with room for 100,000 instances. */
const LOOPBACK: AccountPlace = { host: "127.0.0.1", subnets: ["127.16.0.0/16", "127.17.0.0/16"] };

/** Starts EC2 with one network, whose addresses are all this machine's own. */
export async function startFleet({ host, subnets }: AccountPlace = LOOPBACK): Promise<Fleet> {
  const hypervisor = new VirtualHypervisor(systemClock);
  const model = new Ec2Model({
    region: REGION,
    network: defaultNetwork(REGION, subnets),
    clock: systemClock,
    random: Math.random,
    logger: silentLogger,
    hypervisor,
  });
  const guests = await serveGuests(createLookUp(model));
  const parameters = { "/satellites/images/amd64": IMAGE };
  const common = { model, clock: systemClock, logger: silentLogger, parameters };
  const open = createEc2Endpoint(common);
  const limited = createEc2Endpoint({ ...common, limits: DOCUMENTED_LIMITS });
  let endpoint = open;
  const server = await listenOn(host, (request) => endpoint.handle(request), {
    port: 0,
    logger: silentLogger,
  });
  return {
    model,
    url: server.url,
    log: limited.log,
    guestPort: guests.port,
    slowDown() {
      endpoint = limited;
      hypervisor.script.startMs = RESUME_MS;
      hypervisor.script.resumeMs = RESUME_MS;
    },
    async stop() {
      await server.close();
      guests.close();
      model.close();
    },
  };
}

/** Tells whether the instance at an address runs; looks all of them through only when it meets a new address. */
function createLookUp(model: Ec2Model): (address: string) => boolean {
  const ids = new Map<string, string>();
  return (address) => {
    if (!ids.has(address)) {
      model.instances.truths().forEach(({ id, privateAddress }) => ids.set(privateAddress, id));
    }
    const id = ids.get(address);
    return id !== undefined && model.instances.truth(id).state === "running";
  };
}

/** What tells one satellite's instance from another's. */
export interface Owner {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Adds an instance like `template`, of another satellite. */
export function cloneInstance(model: Ec2Model, template: Instance, owner: Owner, index: number): Instance {
  const { clientToken: _token, ...rest } = template;
  const hex = (): string => randomBytes(9).toString("hex").slice(0, 17);
  const { [Tag.name]: name, [Tag.uid]: uid } = template.tags;
  const tags = Object.fromEntries(
    Object.entries(template.tags).map(([key, value]) => [
      key,
      value === name ? owner.name : value === uid ? owner.uid : value,
    ]),
  );
  const [first, second] = template.privateAddress.split(".", 2).map(Number);
  const host = [Math.floor(index / 62_500), Math.floor(index / 250) % 250, index % 250];
  const instance: Instance = {
    ...rest,
    id: `i-${hex()}`,
    reservationId: `r-${hex()}`,
    clientToken: randomUUID(),
    privateAddress: `${first}.${(second ?? 0) + (host[0] ?? 0)}.${(host[1] ?? 0) + 1}.${(host[2] ?? 0) + 1}`,
    volume: { ...template.volume, id: `vol-${hex()}` },
    tags: { ...tags, [Tag.namespace]: owner.namespace },
  };
  model.instances.put(instance);
  return instance;
}
