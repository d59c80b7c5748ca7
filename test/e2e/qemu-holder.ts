import { instanceSpec, openHypervisor } from "./qemu-setup.ts";

/**
 * A process that does one thing to an instance, says so, and holds the hypervisor until it is killed, which
 * may well be while it is at it.
 */
const [stateDirectory = "", id = "", address = "", task = ""] = process.argv.slice(2);
const hypervisor = await openHypervisor(stateDirectory);
const spec = instanceSpec(id, address);
const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  launch: () => hypervisor.launch(spec),
  hibernate: () => hypervisor.hibernate(id),
  start: () => hypervisor.start(spec),
};
await tasks[task]?.();
process.stdout.write("done\n");
setInterval(() => {}, 60_000);
