import { type Clock, sleep } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { forwardRule } from "./command-line.ts";
import { type SentRequest, sendToAgent, setTimeRequest } from "./guest-agent.ts";
import type { InstanceFiles } from "./instance-store.ts";
import { enableMigrationEvents } from "./memory-image.ts";
import { QmpClient } from "./qmp.ts";
import { forwardingError, killProcess, runningPid } from "./vm-process.ts";

/** What a {@link Vm} needs from its surroundings. */
export interface VmSurroundings {
  readonly clock: Clock;
  readonly logger: Logger;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;
const AGENT_TIMEOUT_MS = 15_000;
/** How long QEMU may take to end after it was told to. */
const QUIT_TIMEOUT_MS = 5000;
const EXIT_POLL_MS = 5;

/** A running QEMU process, with a connection to it. */
export class Vm {
  readonly qmp: QmpClient;
  readonly files: InstanceFiles;
  /** Set before the VM is ended on purpose, so that its end is not reported. */
  ending = false;
  readonly #pid: number;
  readonly #surroundings: VmSurroundings;

  private constructor(qmp: QmpClient, pid: number, files: InstanceFiles, surroundings: VmSurroundings) {
    this.qmp = qmp;
    this.#pid = pid;
    this.files = files;
    this.#surroundings = surroundings;
  }

  /**
   * Connects to the VM whose files these are.
   *
   * @returns undefined when none runs
   * @throws SatelliteError `QmpUnreachable`
   */
  static async attach(files: InstanceFiles, surroundings: VmSurroundings): Promise<Vm | undefined> {
    const pid = await runningPid(files.pidFile);
    if (pid === undefined) {
      return undefined;
    }
    const { clock } = surroundings;
    try {
      const qmp = await QmpClient.connect(files.qmpSocket, {
        clock,
        handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      });
      await enableMigrationEvents(qmp);
      return new Vm(qmp, pid, files, surroundings);
    } catch (thrown) {
      if ((await runningPid(files.pidFile)) === undefined) {
        return undefined;
      }
      throw thrown;
    }
  }

  /** QEMU's run state: "running", "paused", "postmigrate", "inmigrate" and others (QEMU's RunState). */
  async status(): Promise<string> {
    const { status } = (await this.qmp.execute("query-status")) as { readonly status: string };
    return status;
  }

  /**
   * Forwards ports of an address of this machine to the guest.
   *
   * @throws SatelliteError `PortInUse` when one is taken, `QemuFailed` with QEMU's own words otherwise
   */
  async forwardPorts(address: string, ports: readonly number[]): Promise<void> {
    for (const port of ports) {
      // There is no QMP command for it; the monitor's command prints nothing on success.
      const said = await this.qmp.execute("human-monitor-command", {
        "command-line": `hostfwd_add net ${forwardRule(address, port)}`,
      });
      if (typeof said === "string" && said.trim() !== "") {
        throw (
          forwardingError(said, address) ??
          new SatelliteError("QemuFailed", `QEMU did not forward port ${port}: ${said.trim()}`)
        );
      }
    }
  }

  /**
   * Continues a paused VM and corrects its clock, which stood still. The new time waits in the serial port and is set
   * as soon as the guest runs; a guest that does not set it is reported in the log.
   */
  async continueWithTime(): Promise<void> {
    const { logger } = this.#surroundings;
    const warn = (thrown: unknown): void =>
      logger.warn("the guest's clock could not be set", { error: toError(thrown) });
    const sent = await this.#sendTime().catch(warn);
    await this.qmp.execute("cont");
    // The first time was read before the guest ran; a second one, now that it answers, is exact.
    sent?.answered
      .then(() => this.#sendTime())
      .then(({ answered }) => answered)
      .catch(warn);
  }

  #sendTime(): Promise<SentRequest> {
    const { clock } = this.#surroundings;
    const request = setTimeRequest(clock.now().getTime());
    return sendToAgent(this.files.agentSocket, request, { clock, timeoutMs: AGENT_TIMEOUT_MS });
  }

  /**
   * Asks the guest to shut down and waits until the VM has ended.
   *
   * @returns whether it ended within `timeoutMs`
   */
  async shutDown(timeoutMs: number): Promise<boolean> {
    this.ending = true;
    const { clock, logger } = this.#surroundings;
    try {
      await sendToAgent(
        this.files.agentSocket,
        { execute: "guest-shutdown", arguments: { mode: "powerdown" } },
        {
          clock,
          timeoutMs,
        },
      );
    } catch (thrown) {
      logger.warn("the guest could not be asked to shut down", { error: toError(thrown) });
      return false;
    }
    return this.#waitForEnd(timeoutMs);
  }

  /** Ends the VM's process at once: by QEMU's quit command, which flushes the disks, or else by SIGKILL. */
  async end(): Promise<void> {
    this.ending = true;
    // QEMU often ends before it answers; that is no error.
    this.qmp.execute("quit").catch(() => {});
    if (!(await this.#waitForEnd(QUIT_TIMEOUT_MS))) {
      killProcess(this.#pid);
      if (!(await this.#waitForEnd(QUIT_TIMEOUT_MS))) {
        throw new SatelliteError(
          "VmWillNotEnd",
          `process ${this.#pid} of the VM does not end, even by SIGKILL`,
        );
      }
    }
  }

  /** Polls for the process's end: it is no child of this process, and its sockets close a little before it ends. */
  async #waitForEnd(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#surroundings;
    const deadline = clock.monotonicMs() + timeoutMs;
    while ((await runningPid(this.files.pidFile)) !== undefined) {
      if (clock.monotonicMs() >= deadline) {
        return false;
      }
      await sleep(clock, EXIT_POLL_MS);
    }
    return true;
  }
}
