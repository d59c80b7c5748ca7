import { expect } from "chai";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { lastWordsOn } from "../../../src/machines/guest-words.ts";
import { INSTALL_SCRIPT } from "../../../src/machines/buildkit/scripts.ts";

/** What the machine that the tests run on calls itself in archives. */
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;

const program = (version: string): string =>
  `#!/bin/sh\necho "buildkitd github.com/moby/buildkit v${version} abc"\n`;

describe("BuildKit's installation in a stock image", () => {
  let root: string;
  let archive: Buffer;
  let server: Server;
  /** What the server answers, in order, and then the archive: a status, content, or content that breaks off in the middle. */
  let answers: (number | Buffer | "cut off")[];
  let asked: string[];

  before(() => {
    const folder = mkdtempSync(join(tmpdir(), "satellites-archive-"));
    mkdirSync(join(folder, "bin"));
    for (const name of ["buildkitd", "buildkit-runc", "helper"]) {
      writeFileSync(join(folder, "bin", name), program("1.2.3"), { mode: 0o755 });
    }
    writeFileSync(join(folder, "outside"), "");
    archive = spawnSync("tar", ["-C", folder, "-cz", "bin", "outside"]).stdout;
    rmSync(folder, { recursive: true });
  });

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "satellites-install-"));
    mkdirSync(join(root, "bin"));
    mkdirSync(join(root, "usr-bin"));
    writeFileSync(join(root, "console"), "");
    answers = [];
    asked = [];
    server = createServer(serve);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });

  const serve: RequestListener = (request, response) => {
    asked.push(request.url ?? "");
    const answer = answers.shift() ?? archive;
    if (answer === "cut off") {
      response.writeHead(200, { "content-length": archive.length });
      response.write(archive.subarray(0, 10), () => response.destroy());
      return;
    }
    response.statusCode = typeof answer === "number" ? answer : 200;
    response.end(typeof answer === "number" ? "" : answer);
  };

  afterEach(() => {
    server.close();
    server.closeAllConnections();
    rmSync(root, { recursive: true });
  });

  const at = (path: string): string => join(root, path);
  const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

  /** Runs the script with the guest's files below `root`, and without waiting between attempts. */
  async function install(
    wanted: { version?: string; sha256?: Record<string, string>; url?: string } = {},
    environment: Record<string, string> = {},
  ): Promise<{ status: number | null; said: string; console: string }> {
    const { port } = server.address() as AddressInfo;
    const defaults = {
      version: "1.2.3",
      url: `http://127.0.0.1:${port}/buildkit-{architecture}.tgz`,
      sha256: { [ARCHITECTURE]: digest(archive) },
    };
    writeFileSync(at("archive.json"), JSON.stringify({ ...defaults, ...wanted }));
    const script = INSTALL_SCRIPT.replaceAll("/etc/buildkit", root)
      .replaceAll("/usr/local/bin", at("bin"))
      .replaceAll("/usr/local/lib", root)
      .replaceAll('"/usr/bin/"', `"${at("usr-bin")}/"`)
      .replaceAll("/dev/console", at("console"))
      .replaceAll("time.sleep", "(lambda seconds: None)");
    const child = spawn("python3", ["-c", script], {
      env: { PATH: `${at("bin")}:/usr/bin:/bin`, ...environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [status] = (await once(child, "close")) as [number | null];
    return { status, said, console: readFileSync(at("console"), "utf8") };
  }

  it("downloads the archive of the machine's architecture, and installs its programs alone", async () => {
    expect(await install()).to.deep.equal({
      status: 0,
      said: "",
      console: "satellites: BuildKit 1.2.3 is installed\n",
    });
    expect(asked).to.deep.equal([`/buildkit-${ARCHITECTURE}.tgz`]);
    expect(statSync(at("bin/buildkitd")).mode & 0o777).to.equal(0o755);
    expect(existsSync(at("bin/buildkit-runc"))).to.equal(true);
    expect(existsSync(at("bin/outside"))).to.equal(false);
  });

  it("downloads nothing at later boots, even where the program calls itself by another version", async () => {
    await install({ version: "9.9.9" });
    expect((await install({ version: "9.9.9" })).status).to.equal(0);
    expect(asked).to.have.length(1);
  });

  it("downloads nothing where the image holds the version", async () => {
    writeFileSync(at("bin/buildkitd"), program("1.2.3"), { mode: 0o755 });
    expect((await install({ sha256: {} })).status).to.equal(0);
    expect(asked).to.deep.equal([]);
  });

  it("replaces another version that the image holds", async () => {
    writeFileSync(at("bin/buildkitd"), program("1.2.30"), { mode: 0o755 });
    expect((await install()).status).to.equal(0);
    expect(readFileSync(at("bin/buildkitd"), "utf8")).to.equal(program("1.2.3"));
  });

  it("tries again while the server fails", async () => {
    answers = [503, 503];
    const { status, console } = await install();
    expect(status).to.equal(0);
    expect(asked).to.have.length(3);
    const lines = console.trim().split("\n");
    expect(lines).to.have.length(3);
    expect(lines[1]).to.match(/^satellites: failed: .*HTTP Error 503.*; it is tried again$/);
    expect(lastWordsOn(console)).to.include({ isFailure: false });
  });

  it("tries again where the connection breaks off in the middle", async () => {
    answers = ["cut off"];
    const { status, console } = await install();
    expect(status).to.equal(0);
    expect(asked).to.have.length(2);
    expect(console).to.match(/^satellites: failed: .*IncompleteRead.*; it is tried again$/m);
  });

  it("trusts the authority that the class names, and no other", async () => {
    const names = [{ type: 7 as const, ip: "127.0.0.1" }];
    const { private: key, cert } = await generate([{ name: "commonName", value: "mirror" }], {
      extensions: [{ name: "subjectAltName", altNames: names }],
    });
    const mirror = createTlsServer({ key, cert }, serve);
    mirror.listen(0, "127.0.0.1");
    await once(mirror, "listening");
    try {
      const url = `https://127.0.0.1:${(mirror.address() as AddressInfo).port}/buildkit.tgz`;
      const { status, console } = await install({ url });
      expect(status).to.equal(1);
      expect(lastWordsOn(console)?.text).to.include("CERTIFICATE_VERIFY_FAILED");
      mkdirSync(at("ca"));
      writeFileSync(at("ca/ca.pem"), cert);
      expect((await install({ url })).status).to.equal(0);
    } finally {
      mirror.close();
      mirror.closeAllConnections();
    }
  });

  it("lets /usr/bin have the programs, too, and takes nothing of the image's away", async () => {
    writeFileSync(at("usr-bin/buildkit-runc"), "the image's");
    expect((await install()).status).to.equal(0);
    expect(readFileSync(at("usr-bin/helper"), "utf8")).to.equal(program("1.2.3"));
    expect(readFileSync(at("usr-bin/buildkit-runc"), "utf8")).to.equal("the image's");
  });

  it("goes through the proxy that it is given", async () => {
    const { port } = server.address() as AddressInfo;
    const url = "http://mirror.example/buildkit.tgz";
    expect((await install({ url }, { http_proxy: `http://127.0.0.1:${port}` })).status).to.equal(0);
    expect(asked).to.deep.equal([url]);
  });

  for (const [what, wanted, reason] of [
    ["another archive", { sha256: { [ARCHITECTURE]: "0".repeat(64) } }, `has the SHA-256 `],
    [
      "an archive without a checksum",
      { sha256: {} },
      `spec.guest.archive.sha256 has none for ${ARCHITECTURE}`,
    ],
    ["an address where nobody is", { url: "http://127.0.0.1:1/x" }, "http://127.0.0.1:1/x: "],
  ] as const) {
    it(`refuses ${what}, says so on the console, and leaves no program behind`, async () => {
      const { status, said, console } = await install(wanted);
      expect(status).to.equal(1);
      expect(said).to.include(reason);
      expect(lastWordsOn(console)).to.deep.equal({
        text: `BuildKit cannot be installed: ${said.trim()}`,
        isFailure: true,
      });
      expect(existsSync(at("bin/buildkitd"))).to.equal(false);
    });
  }

  it("says whatever else goes wrong: an archive that is none, an authority that is no certificate", async () => {
    answers = [Buffer.from("not found")];
    const sha256 = { [ARCHITECTURE]: digest(Buffer.from("not found")) };
    const other = await install({ sha256 });
    expect(other.status).to.equal(1);
    expect(lastWordsOn(other.console)).to.deep.equal({
      text: "BuildKit cannot be installed: ReadError: not a gzip file",
      isFailure: true,
    });
    mkdirSync(at("ca"));
    writeFileSync(at("ca/ca.pem"), "-----BEGIN CERTIFICATE-----\n");
    const { status, console } = await install();
    expect(status).to.equal(1);
    expect(lastWordsOn(console)?.text).to.match(/^BuildKit cannot be installed: SSLError: /);
  });

  it("begins again where it was cut off before the programs were whole", async () => {
    await install();
    rmSync(at("satellites-buildkit.sha256"));
    writeFileSync(at("bin/buildkitd"), "");
    expect((await install()).status).to.equal(0);
    expect(readFileSync(at("bin/buildkitd"), "utf8")).to.equal(program("1.2.3"));
  });
});
