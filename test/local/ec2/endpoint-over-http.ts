import { EC2Client } from "@aws-sdk/client-ec2";
import { systemClock } from "../../../src/base/clock.ts";
import {
  createEc2Endpoint,
  type Ec2Endpoint,
  type Ec2EndpointOptions,
} from "../../../src/local/ec2/endpoint.ts";
import { listenOnLoopback } from "../../../src/local/ec2/http-server.ts";
import { Ec2Model, type Ec2ModelOptions } from "../../../src/local/ec2/model.ts";
import {
  VirtualHypervisor,
  type VirtualHypervisorScript,
} from "../../../src/local/ec2/virtual-hypervisor.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";

export const REGION = "eu-west-1";
export const IMAGE = "ami-0077000000000000a";
export const SUBNET_A = "subnet-0077000000000000a";
export const SUBNET_B = "subnet-0077000000000000b";
export const GROUP = "sg-0077000000000000a";

/** An endpoint that listens on a free port, and the real SDK's client of it. */
export interface HttpEndpoint {
  readonly url: string;
  readonly model: Ec2Model;
  readonly endpoint: Ec2Endpoint;
  readonly hypervisor: VirtualHypervisor;
  readonly client: EC2Client;
  close(): Promise<void>;
}

export async function startEndpoint(
  options: {
    readonly model?: Partial<Ec2ModelOptions>;
    readonly endpoint?: Partial<Ec2EndpointOptions>;
    readonly script?: Partial<VirtualHypervisorScript>;
    readonly hypervisor?: VirtualHypervisor;
  } = {},
): Promise<HttpEndpoint> {
  const clock = options.model?.clock ?? systemClock;
  const hypervisor = options.hypervisor ?? new VirtualHypervisor(clock, options.script);
  const model = new Ec2Model({
    region: REGION,
    clock,
    random: Math.random,
    logger: silentLogger,
    hypervisor,
    ...options.model,
  });
  await model.restore();
  const endpoint = createEc2Endpoint({ model, clock, logger: silentLogger, ...options.endpoint });
  const server = await listenOnLoopback(endpoint.handle, { port: 0, logger: silentLogger });
  const client = new EC2Client({
    region: REGION,
    endpoint: server.url,
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "example" },
    maxAttempts: 1,
  });
  return {
    url: server.url,
    model,
    endpoint,
    hypervisor,
    client,
    close: async () => {
      client.destroy();
      model.close();
      await server.close();
    },
  };
}
