import { expect } from "chai";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProcess, type TestProcess } from "../support/process.ts";
import { ApiClient, type ApiAnswer, type ApiWatchEvent } from "../support/api-client.ts";
import { eventually } from "../support/eventually.ts";

const ROOT = join(import.meta.dirname, "../..");
const TOKEN = "token-of-the-test";
const CONFIG_MAPS = "/api/v1/namespaces/default/configmaps";
/** Room for the certificates, the file of the state, its log, and some hundred objects. */
const DISK_MIB = 6;
const OBJECT_BYTES = 10_000;

function nameOf(event: ApiWatchEvent | undefined): string {
  return (event?.object as { metadata?: { name?: string } } | undefined)?.metadata?.name ?? "";
}

interface Served {
  readonly process: TestProcess;
  readonly client: ApiClient;
}

/** The state lies on a file system of its own, in a mount namespace: nothing of this machine is filled. */
describe("the embedded API server on a full disk", function () {
  this.timeout(60_000);
  let folder: string;
  let disk: string;
  let holder: TestProcess;
  let starts = 0;
  const started: Served[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "full-disk-"));
    const mountPoint = join(folder, "disk");
    mkdirSync(mountPoint);
    writeFileSync(
      join(folder, "users.json"),
      JSON.stringify([{ name: "tester", groups: ["system:masters"], token: TOKEN }]),
    );
    const script = `mount -t tmpfs -o size=${DISK_MIB}m tmpfs "$0" && echo mounted && exec sleep infinity`;
    holder = await startProcess(
      "the mount namespace",
      "unshare",
      ["--user", "--map-root-user", "--mount", "sh", "-c", script, mountPoint],
      join(folder, "holder.log"),
    );
    await eventually("the file system is mounted", () => {
      expect(holder.isRunning(), holder.logTail()).to.equal(true);
      return holder.logTail().includes("mounted") ? true : undefined;
    });
    disk = join("/proc", String(holder.pid), "root", mountPoint);
  });

  afterEach(async () => {
    for (const { process: child, client } of started.splice(0)) {
      await client.close();
      await child.stop();
    }
    await holder.stop();
    rmSync(folder, { recursive: true });
  });

  function start(): Promise<TestProcess> {
    return startProcess(
      "satellites local-kubernetes",
      "nsenter",
      [
        `--target=${holder.pid}`,
        "--user",
        "--mount",
        "--preserve-credentials",
        process.execPath,
        join(ROOT, "src/main.ts"),
        "local-kubernetes",
        `--state-dir=${join(folder, "disk", "state")}`,
        `--users=${join(folder, "users.json")}`,
        `--crds=${join(ROOT, "crds")}`,
      ],
      join(folder, `server-${starts++}.log`),
    );
  }

  async function serve(): Promise<Served> {
    const child = await start();
    const url = await eventually("the server serves", () => {
      expect(child.isRunning(), child.logTail()).to.equal(true);
      return /"url":"(?<url>[^"]+)"/.exec(child.logTail())?.groups?.["url"];
    });
    const client = new ApiClient(url, readFileSync(join(disk, "state", "ca.pem"), "utf8"), { token: TOKEN });
    const served = { process: child, client };
    started.push(served);
    return served;
  }

  /** Takes all the room that is left. */
  function fill(): void {
    const file = openSync(join(disk, "filler"), "a");
    try {
      for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
        try {
          for (;;) {
            writeSync(file, Buffer.alloc(size));
          }
        } catch (error) {
          expect(error).to.have.property("code", "ENOSPC");
        }
      }
    } finally {
      closeSync(file);
    }
  }

  const create = (client: ApiClient, name: string): Promise<ApiAnswer> =>
    client.request("POST", CONFIG_MAPS, {
      metadata: { name },
      data: { text: name.padEnd(OBJECT_BYTES, "x") },
    });

  async function names(client: ApiClient): Promise<string[]> {
    const { status, body } = await client.request("GET", CONFIG_MAPS);
    expect(status).to.equal(200);
    return (body as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);
  }

  /** Creates until it is refused. */
  async function createUntilRefused(
    client: ApiClient,
    prefix: string,
  ): Promise<{ readonly acknowledged: string[]; readonly refusal: ApiAnswer }> {
    const acknowledged: string[] = [];
    for (let number = 100; number < 999; number++) {
      const name = `${prefix}-${number}`;
      const answer = await create(client, name);
      if (answer.status !== 201) {
        return { acknowledged, refusal: answer };
      }
      acknowledged.push(name);
    }
    throw new Error("the disk never became full");
  }

  it("says so to whoever writes, changes nothing, and goes on by itself when there is room again", async () => {
    const { client, process: child } = await serve();
    expect((await create(client, "before")).status).to.equal(201);
    const watch = await client.watch(`${CONFIG_MAPS}?watch=1&resourceVersion=0`);
    expect(nameOf(await watch.next())).to.equal("before");

    fill();
    const { acknowledged, refusal } = await createUntilRefused(client, "full");
    expect(refusal.status).to.equal(500);
    expect(refusal.body).to.have.property("reason", "InternalError");
    expect(refusal.body)
      .to.have.property("message")
      .that.matches(/disk is full/)
      .and.matches(/nothing was changed/)
      .and.matches(/free some space/)
      .and.not.matches(/move/);
    expect(child.logTail()).to.contain("disk is full");
    // Deletions need room, too, and are refused as well; reads are not.
    const removal = await client.request("DELETE", `${CONFIG_MAPS}/before`);
    expect(await names(client)).to.deep.equal(
      ["before", ...acknowledged].filter((name) => name !== "before" || removal.status !== 200),
    );

    rmSync(join(disk, "filler"));
    expect((await create(client, "later")).status).to.equal(201);
    const seen: string[] = [];
    while (seen.at(-1) !== "later") {
      const event = await watch.next();
      if (event?.type === "ADDED") {
        seen.push(nameOf(event));
      }
    }
    expect(seen).to.deep.equal([...acknowledged, "later"]);
    await watch.close();
  });

  it("starts and tells all that it acknowledged, and goes on when there is room again", async () => {
    const first = await serve();
    fill();
    const { acknowledged } = await createUntilRefused(first.client, "full");
    await first.process.stop("SIGKILL");
    fill();

    const second = await serve();
    expect(await names(second.client)).to.deep.equal(acknowledged);
    expect((await create(second.client, "refused")).status).to.equal(500);
    await second.process.stop("SIGTERM");

    rmSync(join(disk, "filler"));
    const third = await serve();
    expect((await create(third.client, "later")).status).to.equal(201);
    expect(await names(third.client)).to.deep.equal([...acknowledged, "later"]);
  });

  it("does not start for the first time, says why, and does once there is room", async () => {
    fill();
    const failed = await start();
    expect(await failed.ended).to.equal(1);
    expect(failed.logTail())
      .to.match(/no space left on device/i)
      .and.to.contain("free some space on that disk");
    rmSync(join(disk, "filler"));
    expect((await create((await serve()).client, "later")).status).to.equal(201);
  });
});
