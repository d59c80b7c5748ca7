import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { untilAborted } from "../base/abort.ts";
import { createEc2Endpoint } from "../local/ec2/endpoint.ts";
import { listenOn, LOOPBACK } from "../local/ec2/http-server.ts";
import type { Hypervisor } from "../local/ec2/hypervisor.ts";
import { fileStore } from "../local/ec2/record-store.ts";
import { Ec2Model } from "../local/ec2/model.ts";
import { defaultNetwork } from "../local/ec2/network.ts";
import { DOCUMENTED_LIMITS } from "../local/ec2/request-buckets.ts";
import { QemuHypervisor } from "../local/qemu/hypervisor.ts";
import type { GuestImage } from "../local/qemu/image.ts";
import type { ToolPaths } from "../local/qemu/prerequisites.ts";
import type { ProcessContext } from "./process-context.ts";
import { VirtualVms } from "./virtual-vms.ts";

/** Region that the endpoint says it is. */
export const LOCAL_REGION = "local-1";
/** ID of the guest image in that region. */
export const LOCAL_IMAGE = "ami-0077000000000000a";
/** ID of the image whose guests serve TLS. */
export const LOCAL_TLS_IMAGE = "ami-0077000000000000c";
/** ID of the stock Debian image, where there is one. */
export const LOCAL_STOCK_IMAGE = "ami-0077000000000000d";

/** What the VMs run on; {@link VirtualVms} need nothing that the machine must have. */
export type HypervisorSetup =
  | {
      readonly kind: "qemu";
      readonly tools: ToolPaths;
      readonly image: GuestImage;
      readonly stockImage?: GuestImage;
    }
  | { readonly kind: "virtual"; readonly delayMs: number };

/** What `satellites local` has prepared for the endpoint; written to a file. */
export interface LocalEc2Setup {
  readonly hypervisor: HypervisorSetup;
  /** Addresses of the VMs, all of them this machine's own: one block for each zone, e.g. `127.80.2.0/24` on loopback. */
  readonly subnets: readonly [string, string];
  /** IPv4 address of this machine at which the endpoint serves; default: loopback. Whoever reaches it may do everything. */
  readonly host?: string;
}

/** Options of `satellites local-ec2`. */
export interface LocalEc2Options {
  readonly stateDir: string;
  readonly port: number;
  /** JSON file of a {@link LocalEc2Setup}. */
  readonly setup: string;
}

/** Guests get no more than this, whatever their type has, so that a laptop can run a few. */
const GUEST_SIZE = { vcpus: 1, memoryMiB: 384 };
/** What systemd, cloud-init and a build need. */
const STOCK_GUEST_SIZE = { vcpus: 1, memoryMiB: 1024 };
/** A system with services of its own takes longer to shut down than the guest service. */
const SHUTDOWN_TIMEOUT_MS = 90_000;

/** Runs the EC2 endpoint over its VMs until it is stopped. VMs under QEMU go on running. */
export async function runLocalEc2(options: LocalEc2Options, context: ProcessContext): Promise<void> {
  const { clock, random, logger, stop } = context;
  const setup = JSON.parse(await readFile(options.setup, "utf8")) as LocalEc2Setup;
  const hypervisor = await openHypervisor(setup.hypervisor, join(options.stateDir, "vms"), context);
  const model = new Ec2Model({
    region: LOCAL_REGION,
    network: defaultNetwork(LOCAL_REGION, setup.subnets),
    clock,
    random,
    logger,
    hypervisor,
    guestSize: (_type, image) => (image === LOCAL_STOCK_IMAGE ? STOCK_GUEST_SIZE : GUEST_SIZE),
    store: fileStore(join(options.stateDir, "instances")),
    volumeStore: fileStore(join(options.stateDir, "volumes")),
  });
  await model.restore();
  const endpoint = createEc2Endpoint({
    model,
    clock,
    logger,
    limits: DOCUMENTED_LIMITS,
    parameters: {
      "/satellites/images/amd64": LOCAL_IMAGE,
      "/satellites/stock-images/amd64": LOCAL_STOCK_IMAGE,
    },
    logFile: join(options.stateDir, "calls.jsonl"),
  });
  const server = await listenOn(setup.host ?? LOOPBACK, endpoint.handle, { port: options.port, logger });
  logger.info("The EC2 endpoint serves", { url: server.url });
  await untilAborted(stop);
  await server.close();
  await hypervisor.close();
}

function openHypervisor(
  setup: HypervisorSetup,
  directory: string,
  { clock, logger }: ProcessContext,
): Promise<Hypervisor & { close(): void | Promise<void> }> {
  switch (setup.kind) {
    case "qemu":
      return QemuHypervisor.open({
        stateDirectory: directory,
        images: [
          { id: LOCAL_IMAGE, name: "satellites-guest", files: setup.image },
          ...(setup.stockImage === undefined
            ? []
            : [{ id: LOCAL_STOCK_IMAGE, name: "debian", files: setup.stockImage }]),
        ],
        shutdownTimeoutMs: SHUTDOWN_TIMEOUT_MS,
        tools: setup.tools,
        nodePath: process.execPath,
        clock,
        logger,
      });
    case "virtual":
      return VirtualVms.open({
        directory,
        image: LOCAL_IMAGE,
        tlsImage: LOCAL_TLS_IMAGE,
        delayMs: setup.delayMs,
        clock,
      });
  }
}
