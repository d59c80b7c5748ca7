import type { TestedMutant } from "./mutant-list.ts";

const edit = (file: string, from: string, to: string): TestedMutant["edits"][number] => ({ file, from, to });

const ENDS = "test/hostile/ends/ends.test.ts";
const UNCAUGHT = "test/commands/uncaught-errors.test.ts";
const SPLICE = "test/router/splice";

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
  {
    name: "bytes: the rest of a frame is dropped when its request is let go meanwhile",
    edits: [
      edit(
        "router/splice/client-half.ts",
        'this.#target = held.passedTo === "spliced" ? this.#restOfSpliced() : (held.passedTo ?? "drop");',
        'this.#target = "drop";',
      ),
    ],
    tests: [`${SPLICE}/offsets/offsets.test.ts`],
  },
  {
    name: "bytes: frames of the router come within a client's frame",
    edits: [
      edit(
        "router/splice/upstream-output.ts",
        "return this.#missingBytes > 0 ? this.#behind : this.#now;",
        "return this.#missingBytes < 0 ? this.#behind : this.#now;",
      ),
    ],
    tests: [`${SPLICE}/offsets/offsets.test.ts`],
  },
  {
    name: "bytes: content of a mapped VM comes within a frame of the spliced one",
    edits: [
      edit(
        "router/splice/splice.ts",
        "return !this.isSpliced || this.link === undefined || this.#isCut() || this.link.atBoundary;",
        "return !this.isSpliced || this.link === undefined || !this.#isCut() || this.link.atBoundary;",
      ),
    ],
    tests: [`${SPLICE}/offsets/offsets.test.ts`],
  },
  {
    name: "bytes: what others send is not charged to the client's window",
    edits: [edit("router/splice/client-flow.ts", "    this.#sendBytes -= takenBytes;\n", "")],
    tests: [`${SPLICE}/offsets/windows.test.ts`],
  },
  {
    name: "sleep: a request for the next stretch of being awake goes to the VM of the last one",
    edits: [
      edit(
        "router/splice/connector.ts",
        'if (state === "spliced" && isSameUpstream(this.#bound, upstream)) {',
        'if (state === "spliced" && this.#bound?.satellite === upstream.satellite) {',
      ),
    ],
    tests: [`${SPLICE}/offsets/offsets.test.ts`],
  },
  {
    name: "drain: requests that wait use up the window of the streams that are open",
    edits: [
      edit("router/splice/connection.ts", "flow.receiveBytes < LOW_WINDOW_BYTES", "flow.receiveBytes < 0"),
    ],
    tests: [`${SPLICE}/held.test.ts`],
  },
  {
    name: "sleep: a client hears its last stream at once, and loses what is on its way",
    edits: [
      edit(
        "router/splice/goodbye.ts",
        "this.#splice.goAway(MAX_31_BIT, ErrorCode.NO_ERROR);",
        "this.#splice.goAway(this.#splice.lastClientId, ErrorCode.NO_ERROR);",
      ),
    ],
    tests: [`${SPLICE}/injecting.test.ts`],
  },
  {
    name: "refused: AWS credentials that were refused are taken from memory again",
    edits: [
      edit(
        "machines/ec2/aws-clients.ts",
        "await credentials({ forceRefresh: true });",
        "await credentials();",
      ),
    ],
    tests: ["test/machines/ec2/credentials.test.ts"],
  },
  {
    name: "refused: a role's credentials are fetched with those that were refused",
    edits: [edit("machines/ec2/aws-credentials.ts", "await own(properties);", "")],
    tests: ["test/machines/ec2/credentials.test.ts"],
  },
  {
    name: "refused: a client certificate that a server ends connections over is kept",
    edits: [edit("kube/transport.ts", "this.#credentials.suspect(credentials);", "")],
    tests: ["test/kube/client-certificates.test.ts"],
  },
  {
    name: "refused: one instance that may not be started is blamed on all of its request",
    edits: [
      edit(
        "machines/ec2/ec2-cloud.ts",
        'error.reason === "NotPermitted"',
        'error.reason === "NotPermittedAtAll"',
      ),
    ],
    tests: ["test/machines/ec2/ec2-cloud.test.ts"],
  },
  {
    name: "full disk: a durable change is refused since older ones cannot be dropped",
    edits: [
      edit(
        "local/kubernetes/store.ts",
        'this.#logger.warn("The oldest changes cannot be dropped from the state\'s file yet", { error });',
        "throw error;",
      ),
    ],
    tests: ["test/local/kubernetes/store.test.ts"],
  },
];
