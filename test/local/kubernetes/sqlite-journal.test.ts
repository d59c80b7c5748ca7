import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { expect } from "chai";
import { SatelliteError } from "../../../src/base/errors.ts";
import { adviceFor, openSqliteJournal } from "../../../src/local/kubernetes/sqlite-journal.ts";
import { Store } from "../../../src/local/kubernetes/store.ts";

describe("SQLite journal", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "journal-"));
    path = join(folder, "state.sqlite");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("brings back objects, revision and history after a restart", () => {
    const first = new Store({ journal: openSqliteJournal(path) });
    first.create("a", "x", { metadata: { name: "x" }, value: 1 });
    first.update("a", "x", { metadata: { name: "x" }, value: 2 });
    first.create("a", "y", { metadata: { name: "y" } });
    first.remove("a", "y");
    const { revision } = first;
    first.close();

    const second = new Store({ journal: openSqliteJournal(path) });
    expect(second.revision).to.equal(revision);
    expect(second.get("a", "x")?.object).to.deep.equal({
      metadata: { name: "x", resourceVersion: "3" },
      value: 2,
    });
    expect(second.get("a", "y")).to.equal(undefined);
    expect(second.changesSince(2).map(({ type }) => type)).to.deep.equal(["MODIFIED", "ADDED", "DELETED"]);
    expect(second.create("a", "z", { metadata: { name: "z" } }).revision).to.equal(revision + 1);
    second.close();
  });

  it("keeps the window of its history bounded on disk too", () => {
    const first = new Store({ journal: openSqliteJournal(path), historyLimit: 4 });
    first.create("a", "x", { metadata: {}, value: 0 });
    for (let value = 1; value <= 20; value++) {
      first.update("a", "x", { metadata: {}, value });
    }
    first.close();
    const journal = openSqliteJournal(path);
    const { changes, compactedRevision } = journal.load();
    journal.close();
    expect(changes.length).to.be.within(4, 5);
    expect(compactedRevision).to.equal(changes[0]!.revision - 1);
  });

  it("advises to free space on a full disk, and never to start empty", () => {
    const full = Object.assign(new Error("database or disk is full"), { errcode: 13 });
    expect(adviceFor(full)).to.contain("free some space").and.not.contain("starts empty");
    expect(adviceFor(Object.assign(new Error("locked"), { errcode: 261 }))).to.contain(
      "stop the other process",
    );
    expect(adviceFor(Object.assign(new Error("malformed"), { errcode: 11 }))).to.contain("loses all objects");
  });

  it("leaves a file of a newer version alone, and advises to keep it", () => {
    openSqliteJournal(path).close();
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 2");
    database.close();
    const before = readFileSync(path);
    expect(() => openSqliteJournal(path))
      .to.throw(SatelliteError, /newer version \(format 2, this one reads 1\).*keep the file/)
      .with.property("message")
      .that.does.not.match(/move|empty/);
    expect(readFileSync(path).equals(before)).to.equal(true);
  });

  it("refuses a file that another server uses", () => {
    const first = openSqliteJournal(path);
    first.commit({
      change: { revision: 2, type: "ADDED", collection: "a", key: "x", object: {} },
      stored: {},
    });
    try {
      expect(() => openSqliteJournal(path)).to.throw(SatelliteError, /stop the other process/);
    } finally {
      first.close();
    }
  });

  it("loses nothing that it acknowledged when its process is killed", async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "writer.ts"), path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    let acknowledged = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged === 50) {
        child.kill("SIGKILL");
      }
    }
    expect((await exited)[1]).to.equal("SIGKILL");
    expect(acknowledged).to.be.at.least(50);

    const store = new Store({ journal: openSqliteJournal(path) });
    const names = new Set(store.list("a").map(({ value }) => value));
    store.close();
    for (let value = 1; value <= acknowledged; value++) {
      expect(names.has(value), `object ${value} of ${acknowledged}`).to.equal(true);
    }
  });
});
