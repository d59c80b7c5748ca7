import { runToEnd } from "./stranger.ts";
import type { Case, Programs, Trial } from "./case.ts";
import type { World } from "./world.ts";

/**
 * Cases of grpc-go's interop client that need neither a cloud's credentials nor several servers; what each demands is in
 * gRPC's "Interoperability Test Case Descriptions".
 */
export const OFFICIAL_CASES = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "timeout_on_sleeping_server",
  "cancel_after_begin",
  "cancel_after_first_response",
  "status_code_and_message",
  "special_status_message",
  "custom_metadata",
  "unimplemented_method",
  "unimplemented_service",
  "orca_per_rpc",
] as const;

/** How long one client may take, in milliseconds: the soaks take longest. */
const SOAK_PATIENCE_MS = 360_000;
/** What orca_per_rpc needs beside its name. */
const ORCA_OPTIONS = [
  '--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}',
];

/** Where a client connects. */
export type Way = Pick<World, "port" | "caFile">;

/**
 * Runs one case of the official client.
 *
 * @throws Error with the end of what it wrote when it does not succeed
 */
export async function official(
  { client }: Programs,
  { port, caFile }: Way,
  testCase: string,
  ...more: readonly string[]
): Promise<string> {
  const tls = caFile === undefined ? [] : ["--use_tls", "--use_test_ca", `--ca_file=${caFile}`];
  const args = [
    "--server_host=127.0.0.1",
    `--server_port=${port}`,
    `--test_case=${testCase}`,
    ...tls,
    ...more,
  ];
  args.push(...(testCase.startsWith("orca") ? ORCA_OPTIONS : []));
  const { status, output } = await runToEnd(client, args, SOAK_PATIENCE_MS);
  if (status !== 0) {
    throw new Error(lastLines(output));
  }
  return output;
}

function lastLines(output: string): string {
  const lines = output.trim().split("\n");
  const failed = lines.filter((line) => line.includes("failed"));
  return [`${failed.length} failed`, ...failed.slice(0, 3), ...lines.slice(-2)].join("\n");
}

/**
 * Runs a soak of the official client: large unary calls, on one channel (rpc_soak) or each on its own (channel_soak).
 *
 * @throws Error when one call fails
 */
export async function officialSoak(
  programs: Programs,
  way: Way,
  testCase: "rpc_soak" | "channel_soak",
  { iterations, threads }: { readonly iterations: number; readonly threads: number },
): Promise<void> {
  await official(
    programs,
    way,
    testCase,
    `--soak_iterations=${iterations}`,
    `--soak_num_threads=${threads}`,
    "--soak_max_failures=0",
    "--soak_per_iteration_max_acceptable_latency_ms=60000",
    `--soak_overall_timeout_seconds=${SOAK_PATIENCE_MS / 1000 - 60}`,
  );
}

/**
 * Makes so many large unary calls, each by a client of its own, two at a time.
 *
 * @throws Error that says how many failed
 */
export async function largeUnary(programs: Programs, way: Way, count: number): Promise<void> {
  const failures: string[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await official(programs, way, "large_unary").catch((error: unknown) => failures.push(String(error)));
    }
  };
  await Promise.all([worker(), worker()]);
  if (failures.length > 0) {
    throw new Error(`${failures.length} of ${count} large_unary failed: ${failures[0]}`);
  }
}

/** Every case of the official client at a satellite that is awake, and at one that sleeps when the client comes. */
export const OFFICIAL: readonly Case[] = OFFICIAL_CASES.flatMap((testCase) => [
  {
    name: `grpc-go ${testCase}, awake`,
    run: async ({ programs, world }: Trial) => {
      await world.awake();
      await official(programs, world, testCase);
    },
  },
  {
    name: `grpc-go ${testCase}, asleep`,
    run: async ({ programs, world }: Trial) => {
      await world.asleep();
      await official(programs, world, testCase);
    },
  },
]);
