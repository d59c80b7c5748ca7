import { connect, type Socket } from "node:net";

import type { Clock } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";

/** An event that QEMU reports. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface QmpMessage {
  readonly QMP?: object;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly id?: number;
  readonly event?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

interface PendingCommand {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: SatelliteError) => void;
}

/** How to reach a QMP socket. */
export interface QmpOptions {
  readonly clock: Clock;
  /** Milliseconds that the handshake may take. QEMU serves one client at a time; a second one waits. */
  readonly handshakeTimeoutMs: number;
}

/**
 * A client of the QEMU Machine Protocol (QEMU's docs/interop/qmp-spec): JSON lines, commands answered by id,
 * events in between. While it is connected, {@link QmpClient.closed} tells when QEMU goes away.
 */
export class QmpClient {
  /** Resolves when the connection has ended, because QEMU ended or closed it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending = new Map<number, PendingCommand>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  #nextId = 1;
  #buffer = "";
  #greeted: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    // Reported through `closed`.
    socket.on("error", () => {});
    socket.on("data", (text: string) => {
      try {
        this.#receive(text);
      } catch (error) {
        socket.destroy(toError(error));
      }
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#failAll();
        resolve();
      });
    });
  }

  /**
   * Connects and negotiates capabilities.
   *
   * @throws SatelliteError `QmpUnreachable` when no QEMU listens or the handshake takes too long
   */
  static async connect(path: string, options: QmpOptions): Promise<QmpClient> {
    const socket = connect({ path });
    const client = new QmpClient(socket);
    const failure = new Promise<never>((_resolve, reject) => {
      socket.once("error", (error) => reject(unreachable(path, error)));
      void client.closed.then(() => reject(unreachable(path, new Error("closed during the handshake"))));
    });
    // After the handshake nobody waits for it; `closed` and the pending commands report the end.
    failure.catch(() => {});
    const greeting = new Promise<void>((resolve) => {
      client.#greeted = resolve;
    });
    const timer = options.clock.setTimer(options.handshakeTimeoutMs, () =>
      socket.destroy(
        new Error(`no handshake within ${options.handshakeTimeoutMs} ms; is another client connected?`),
      ),
    );
    try {
      await Promise.race([greeting, failure]);
      await Promise.race([client.execute("qmp_capabilities"), failure]);
    } finally {
      timer.cancel();
    }
    return client;
  }

  /**
   * Runs one command.
   *
   * @returns what QEMU answered under `return`
   * @throws SatelliteError `QmpCommandFailed` with QEMU's own words, `QmpClosed` when QEMU went away first
   */
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#socket.destroyed) {
      return Promise.reject(closedError(command));
    }
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { command, resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, ...(args && { arguments: args }), id })}\n`);
    });
  }

  /** Calls `listener` for every event until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Closes the connection; QEMU keeps running. */
  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    const lines = (this.#buffer + text).split("\n");
    this.#buffer = lines.pop() ?? "";
    for (const line of lines) {
      if (line.trim() !== "") {
        this.#dispatch(JSON.parse(line) as QmpMessage);
      }
    }
  }

  #dispatch(message: QmpMessage): void {
    if (message.QMP !== undefined) {
      this.#greeted();
      return;
    }
    if (message.event !== undefined) {
      const event = { event: message.event, data: message.data ?? {} };
      this.#listeners.forEach((listener) => listener(event));
      return;
    }
    const pending = this.#pending.get(message.id ?? -1);
    if (pending === undefined) {
      return;
    }
    this.#pending.delete(message.id ?? -1);
    if (message.error === undefined) {
      pending.resolve(message.return);
    } else {
      pending.reject(
        new SatelliteError("QmpCommandFailed", `QEMU refused ${pending.command}: ${message.error.desc}`),
      );
    }
  }

  #failAll(): void {
    for (const { command, reject } of this.#pending.values()) {
      reject(closedError(command));
    }
    this.#pending.clear();
  }
}

function closedError(command: string): SatelliteError {
  return new SatelliteError(
    "QmpClosed",
    `QEMU ended before it answered ${command}; see the VM's console.log`,
  );
}

function unreachable(path: string, cause: Error): SatelliteError {
  return new SatelliteError("QmpUnreachable", `no QEMU answers at ${path}: ${cause.message}`, { cause });
}
