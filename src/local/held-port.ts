import { createServer, type AddressInfo } from "node:net";

/** A port of 127.0.0.1 that nobody else can take. */
export interface HeldPort {
  readonly port: number;
  /** Gives it free for whom it was held. */
  release(): Promise<void>;
}

/**
 * Listens on a port of 127.0.0.1 so that nobody else does.
 *
 * @param port 0 for any free one
 * @throws Error of node:net, with the code `EADDRINUSE` when somebody has it
 */
export function holdPort(port: number): Promise<HeldPort> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    // Nobody is to be served here, and who stays would keep the port from being given free.
    socket.destroy();
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        release: () =>
          new Promise((released) => {
            server.close(() => released());
          }),
      }),
    );
  });
}
