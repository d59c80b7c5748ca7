import type { TestedMutant } from "./mutant-list.ts";

const edit = (file: string, from: string, to: string): TestedMutant["edits"][number] => ({ file, from, to });

const ENDS = "test/hostile/ends/ends.test.ts";
const UNCAUGHT = "test/commands/uncaught-errors.test.ts";
const RELAY = "test/router/relay";

/** Bugs that the simulation does not reach: each against a promise that the named tests keep. */
export const TESTED_MUTANTS: readonly TestedMutant[] = [
  {
    name: "ends: nobody hears the error of a client's or a VM's TCP connection",
    edits: [edit("router/relay/tcp-wire.ts", 'socket.on("error", (error) => events.onError(error));', "")],
    tests: [ENDS],
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
    edits: [edit("commands/process-faults.ts", "    this.#policy.end();\n", "")],
    tests: [UNCAUGHT],
  },
  {
    name: "uncaught: one connection's error ends the router",
    edits: [
      edit("router/relay/connection.ts", "this.#context.onFault();\n      this.destroy();", "throw error;"),
    ],
    tests: [UNCAUGHT],
  },
  {
    name: "adoption: whatever volume is on the machine is taken by the next leader",
    edits: [
      edit(
        "operator/ownership.ts",
        "return isNamed || isOffered(observed, volume) ? { id, attempt: 0, zone } : undefined;",
        "return isNamed || id !== undefined ? { id, attempt: 0, zone } : undefined;",
      ),
    ],
    tests: ["test/operator/adopted-volume.test.ts"],
  },
  {
    name: "others: a VM's malformed answer reaches the client, who ends the connection of all",
    edits: [
      edit(
        "router/relay/vm-answers.ts",
        "if (problem !== undefined) {",
        "if (problem !== undefined && problem.length < 0) {",
      ),
    ],
    tests: [`${RELAY}/malformed-answers.test.ts`],
  },
  {
    name: "others: a VM that reads nothing is given all that comes, in the router's memory",
    edits: [edit("router/relay/vm-link.ts", "return isOpen && !this.isFull &&", "return isOpen &&")],
    tests: [`${RELAY}/hostile.test.ts`],
  },
  {
    name: "others: what a VM says behind the end of its answer reaches the client, who ends the connection of all",
    edits: [
      edit(
        "router/relay/vm-answers.ts",
        "return call?.open.upstreamEnded === true ? undefined : call;",
        "return call;",
      ),
    ],
    tests: [`${RELAY}/hostile.test.ts`],
  },
  {
    name: "others: a VM's answer is looked up by its id alone, whoever was given it",
    edits: [
      edit(
        "router/relay/vm-answers.ts",
        "const call = this.#calls.require(linkId);\n    return call?.open",
        "const call = this.#session.streams.get(linkId)?.sink as VmCall | undefined;\n    return call?.open",
      ),
    ],
    tests: [`${RELAY}/offsets/offsets.test.ts`],
  },
  {
    name: "others: answers wait behind content of others that the client takes no more of",
    edits: [
      edit(
        "router/relay/client-output.ts",
        "return this.#waiting?.has(streamId) ?? false;",
        "return this.#queue.length > 0 && streamId > 0;",
      ),
    ],
    tests: [`${RELAY}/hostile.test.ts`],
  },
  {
    name: "tables: a field is referred to by the index that it had before others came",
    edits: [
      edit(
        "http2/hpack-encoder.ts",
        "return STATIC_TABLE.length + (this.#memory?.inserted ?? 0) - number;",
        "return STATIC_TABLE.length + 1 + number;",
      ),
    ],
    tests: ["test/http2/hpack-encoder.test.ts"],
  },
  {
    name: "bytes: parts of a client's frame are lost, but for the last one",
    edits: [
      edit(
        "router/relay/client-half.ts",
        "this.#passContent(open, content, isLast);\n    } else",
        "this.#passContent(open, frame.isWhole ? content : content.subarray(0, 0), isLast);\n    } else",
      ),
    ],
    tests: [`${RELAY}/offsets/offsets.test.ts`],
  },
  {
    name: "bytes: memory is another's before what it holds has been written",
    edits: [
      edit(
        "router/relay/outbox.ts",
        "(this.#retired ??= []).push(chunk);",
        "this.#slabs.chunks.give(chunk);",
      ),
    ],
    tests: [`${RELAY}/offsets/windows.test.ts`],
  },
  {
    name: "bytes: what others send is not charged to the client's window",
    edits: [edit("router/relay/client-flow.ts", "    this.#sendBytes -= takenBytes;\n", "")],
    tests: [`${RELAY}/offsets/windows.test.ts`],
  },
  {
    name: "sleep: a request for the next stretch of being awake goes to the VM of the last one",
    edits: [
      edit(
        "router/relay/connector.ts",
        "if (isSameUpstream(link.upstream, upstream)) {",
        "if (link.upstream.satellite === upstream.satellite) {",
      ),
    ],
    tests: [`${RELAY}/offsets/offsets.test.ts`],
  },
  {
    name: "drain: requests that wait use up the window of the streams that are open",
    edits: [
      edit("router/relay/connection.ts", "flow.receiveBytes < LOW_WINDOW_BYTES", "flow.receiveBytes < 0"),
    ],
    tests: [`${RELAY}/held.test.ts`],
  },
  {
    name: "drain: a client hears its last stream at once, and loses what is on its way",
    edits: [
      edit(
        "router/relay/goodbye.ts",
        "this.#session.goAway(MAX_31_BIT, ErrorCode.NO_ERROR);",
        "this.#session.goAway(this.#session.lastClientId, ErrorCode.NO_ERROR);",
      ),
    ],
    tests: [`${RELAY}/injecting.test.ts`],
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
        "machines/ec2/blame.ts",
        'error.reason === "NotPermitted"',
        'error.reason === "NotPermittedAtAll"',
      ),
    ],
    tests: ["test/machines/ec2/ec2-cloud.test.ts"],
  },
  {
    name: "silence: a launch waits for its turn among hundreds, and says nothing",
    edits: [edit("machines/ec2/launches.ts", "        patienceMs: TURN_PATIENCE_MS,\n", "")],
    tests: ["test/machines/ec2/ec2-cloud.test.ts"],
  },
  {
    name: "silence: launches that cannot be sent in time keep all workers",
    edits: [
      edit(
        "machines/ec2/token-bucket.ts",
        "return ahead > (patienceMs / 1000) * this.#requests.refillPerSecond;",
        "return ahead > patienceMs * this.#requests.refillPerSecond;",
      ),
    ],
    tests: ["test/machines/ec2/token-bucket.test.ts"],
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
  {
    name: "shards: a namespace whose labels changed right before the start is taken up at once",
    edits: [edit("operator/shard.ts", "Math.max(afterGone, afterChange)", "afterGone")],
    tests: ["test/operator/shard.test.ts"],
  },
  {
    name: "shards: a namespace of another that is created again is taken up at once",
    edits: [edit("operator/shard.ts", "Math.max(afterGone, afterChange)", "afterChange")],
    tests: ["test/operator/shard.test.ts"],
  },
  {
    name: "shards: the first one acts on satellites of namespaces that it does not know yet",
    edits: [
      edit(
        "operator/shard.ts",
        "return this.#matching.has(namespace) && this.#matching.get(namespace) === undefined;",
        "return this.hasRest && this.#namespaces.cache.get(namespace) === undefined ? true : this.#matching.has(namespace) && this.#matching.get(namespace) === undefined;",
      ),
    ],
    tests: ["test/operator/shard.test.ts"],
  },
  {
    name: "shards: machines of another one's namespaces are judged too",
    edits: [
      edit(
        "operator/collector.ts",
        "const items = [...listing.keys()].filter((item) => this.#isJudged(item));",
        "const items = [...listing.keys()];",
      ),
    ],
    tests: ["test/operator/machine-collector.test.ts"],
  },
  {
    name: "shards: a step goes on where the namespace is another's by now",
    edits: [
      edit(
        "operator/collector.ts",
        "cloud === undefined || !this.#isJudged(step.item)",
        "cloud === undefined",
      ),
    ],
    tests: ["test/operator/machine-collector.test.ts"],
  },
];
