import { openSqliteJournal } from "../../../src/local/kubernetes/sqlite-journal.ts";
import { Store } from "../../../src/local/kubernetes/store.ts";

// Run by the durability test: writes objects for ever and prints the number of each one that was acknowledged.
const store = new Store({ journal: openSqliteJournal(process.argv[2] ?? "") });
for (let value = 1; ; value++) {
  store.create("a", `object-${value}`, { metadata: {}, value });
  process.stdout.write(`${value}\n`);
  // Lets the pipe take what was printed.
  await new Promise((resolve) => setImmediate(resolve));
}
