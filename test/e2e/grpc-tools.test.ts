import { expect } from "chai";
import { join } from "node:path";
import { requireTool } from "../tools/catalog.ts";
import { runProgram, TestSystem, type Outcome } from "./local-system.ts";

const PROTOS = join(import.meta.dirname, "../../src/guest");

/** Clients that are built on grpc-go, which most tools of the field are. */
describe("grpc-go clients", function () {
  this.timeout(120_000);
  let test: TestSystem;

  before(async () => {
    test = await TestSystem.start({ virtualVms: { delayMs: 500 } });
    await test.create("ada");
    await test.untilPhase("ada", "Running");
  });
  after(() => test?.destroy());

  /** Calls through the router. @param options grpcurl's, before the address */
  function grpcurl(proto: string, method: string, ...options: string[]): Promise<Outcome> {
    return runProgram(requireTool("grpcurl"), [
      "-plaintext",
      "-import-path",
      PROTOS,
      "-proto",
      proto,
      ...options,
      test.system.routerAddress,
      method,
    ]);
  }

  async function fallAsleep(): Promise<void> {
    await test.patch("ada", { desiredPower: "off" });
    await test.untilPhase("ada", "Asleep");
  }

  it("grpcurl calls a VM that is awake, named by metadata", async () => {
    const { code, stdout, stderr } = await grpcurl(
      "agent.proto",
      "satellites.guest.v1.Agent/Describe",
      "-H",
      "satellite-name: ada",
    );
    expect(code, stderr).to.equal(0);
    expect(JSON.parse(stdout)).to.have.property("bootId");
  });

  it("grpcurl calls it by its authority", async () => {
    const { code, stdout, stderr } = await grpcurl(
      "health.proto",
      "grpc.health.v1.Health/Check",
      "-authority",
      "ada.default.satellites.local",
    );
    expect(code, stderr).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ status: "SERVING" });
  });

  it("grpcurl wakes a sleeping VM and streams what a command writes", async () => {
    await fallAsleep();
    const { code, stdout, stderr } = await grpcurl(
      "execution.proto",
      "satellites.exec.v1.Execution/Run",
      "-H",
      "satellite-name: ada",
      "-d",
      '{"command":"echo","args":["woken"]}',
    );
    expect(code, stderr).to.equal(0);
    expect(stdout).to.contain(Buffer.from("woken\n").toString("base64")).and.contain('"exit"');
  });

  it("grpcurl without a proto file wakes a sleeping VM: reflection is a call like another", async () => {
    await fallAsleep();
    const { stderr } = await runProgram(requireTool("grpcurl"), [
      "-plaintext",
      "-H",
      "satellite-name: ada",
      test.system.routerAddress,
      "list",
    ]);
    // The VM has answered, and has no reflection.
    expect(stderr).to.contain("server does not support the reflection API");
    await test.untilPhase("ada", "Running");
  });

  it("grpcurl is told that a sleeping VM is healthy, and leaves it asleep", async () => {
    await fallAsleep();
    const before = await test.onlyInstance("ada");
    const { code, stdout, stderr } = await grpcurl(
      "health.proto",
      "grpc.health.v1.Health/Check",
      "-H",
      "satellite-name: ada",
    );
    expect(code, stderr).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal({ status: "SERVING" });
    expect(await test.onlyInstance("ada")).to.deep.equal(before);
  });

  it("grpcurl prints status and message of what is refused", async () => {
    const { code, stderr } = await grpcurl(
      "agent.proto",
      "satellites.guest.v1.Agent/Describe",
      "-H",
      "satellite-name: nobody",
    );
    expect(code).not.to.equal(0);
    expect(stderr).to.contain("Code: NotFound").and.contain("there is no satellite default/nobody");
  });

  it("ghz: 500 calls over 10 connections, begun while it sleeps, are all answered after one start", async () => {
    await fallAsleep();
    const { transition } = await test.onlyInstance("ada");
    const { code, stdout, stderr } = await runProgram(requireTool("ghz"), [
      "--insecure",
      "--import-paths",
      PROTOS,
      "--proto",
      join(PROTOS, "agent.proto"),
      "--call",
      "satellites.guest.v1.Agent/Describe",
      "--metadata",
      '{"satellite-name":"ada"}',
      "--total",
      "500",
      "--concurrency",
      "50",
      "--connections",
      "10",
      "--timeout",
      "60s",
      "--format",
      "json",
      test.system.routerAddress,
    ]);
    expect(code, stderr).to.equal(0);
    const { statusCodeDistribution } = JSON.parse(stdout) as { readonly statusCodeDistribution: unknown };
    expect(statusCodeDistribution).to.deep.equal({ OK: 500 });
    expect(await test.onlyInstance("ada")).to.include({ state: "running", transition: transition + 1 });
  });
});
