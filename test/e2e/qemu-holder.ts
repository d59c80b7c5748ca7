import { instanceSpec, openHypervisor } from "./qemu-setup.ts";

/** A process that launches an instance and then holds the hypervisor until it is killed. */
const [stateDirectory = "", id = "", address = ""] = process.argv.slice(2);
const hypervisor = await openHypervisor(stateDirectory);
await hypervisor.launch(instanceSpec(id, address));
process.stdout.write("launched\n");
setInterval(() => {}, 60_000);
