import { InstanceStore } from "./instance-store.ts";
import { killProcess, runningPid } from "./vm-process.ts";

/**
 * Ends every VM of a state folder at once, without the process that usually manages them: for a folder that is to be
 * deleted.
 *
 * @returns how many ran
 */
export async function endAllVms(stateDirectory: string): Promise<number> {
  const store = new InstanceStore(stateDirectory, "");
  await store.open();
  let ended = 0;
  for (const id of await store.list()) {
    const pid = await runningPid(store.files(id).pidFile);
    if (pid !== undefined) {
      killProcess(pid);
      ended++;
    }
  }
  return ended;
}
