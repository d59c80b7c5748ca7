import type { TestedMutant } from "./mutant-list.ts";

const edit = (file: string, from: string, to: string): TestedMutant["edits"][number] => ({ file, from, to });

const ENDS = "test/hostile/ends/ends.test.ts";
const UNCAUGHT = "test/commands/uncaught-errors.test.ts";

/** Bugs that the simulation does not reach: each against a promise that the named tests keep. */
export const TESTED_MUTANTS: readonly TestedMutant[] = [
  {
    name: "ends: nobody hears the error of a client's or a VM's TCP connection",
    edits: [edit("router/splice/tcp-wire.ts", 'socket.on("error", (error) => events.onError(error));', "")],
    tests: [ENDS],
  },
  {
    name: "ends: the error of a session goes unheard",
    edits: [
      edit(
        "router/stream/engine.ts",
        'session.on("error", (error) => logger.debug("client connection failed", { connection: info.id, error }));',
        "",
      ),
      edit(
        "router/stream/client-connection.ts",
        'stream.on("error", (error) => logger.debug("stream failed", { connection: this.#info.id, error }));',
        "",
      ),
    ],
    tests: [ENDS],
  },
  {
    name: "ends: a client that resets its connection while it is written to is kept for ever",
    edits: [
      edit(
        "router/stream/quiet.ts",
        "if (isQuiet && isAsked) {",
        "if (isQuiet && isAsked && heardBytes < 0) {",
      ),
    ],
    tests: ["test/router/stream/quiet.test.ts"],
  },
  {
    name: "ends: a VM's answer that node:http2 does not send is thrown at everybody",
    edits: [
      edit(
        "router/stream/relay.ts",
        "this.#passing(() => this.#onResponse(headers, flags, raw)),",
        "this.#onResponse(headers, flags, raw),",
      ),
    ],
    tests: ["test/router/stream/unfit-fields.test.ts"],
  },
  {
    name: "ends: whoever asks the health port for what is no path ends the process",
    edits: [
      edit(
        "telemetry/health-server.ts",
        'switch (request.url?.split("?", 1)[0] ?? "") {',
        'switch (new URL(request.url ?? "/", "http://localhost").pathname) {',
      ),
    ],
    tests: ["test/telemetry/health-server.test.ts"],
  },
  {
    name: "uncaught: the router goes on though nobody knows what broke",
    edits: [
      edit(
        "router/router.ts",
        "return domain !== undefined;",
        "return domain === undefined || domain.id > 0;",
      ),
    ],
    tests: [UNCAUGHT],
  },
  {
    name: "uncaught: what all connections share counts as the work of the one that began it",
    edits: [
      edit(
        "router/stream/engine.ts",
        "gatekeeper: sharedGatekeeper(options.gatekeeper),",
        "gatekeeper: sharedGatekeeper === undefined ? sharedGatekeeper : options.gatekeeper,",
      ),
    ],
    tests: [UNCAUGHT],
  },
  {
    name: "uncaught: one connection's error ends the router",
    edits: [
      edit(
        "router/stream/engine.ts",
        "inDomain({ id: info.id, end: () => socket.destroy() }, () => {",
        "(inDomain.length < 0 ? inDomain : (_domain: unknown, work: () => void): void => work())(undefined as never, () => {",
      ),
    ],
    tests: [UNCAUGHT],
  },
];
