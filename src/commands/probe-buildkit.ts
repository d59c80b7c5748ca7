import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { SatelliteError } from "../base/errors.ts";
import type { BuildHistoryEvent, DiskUsageResponse, ListWorkersResponse } from "../guest/schema.ts";
import type { GuestQuestions } from "./guest-questions.ts";

/** Label of the daemon's worker whose value is the boot ID (src/machines/buildkit/units.ts). */
const BOOT_ID_LABEL = "dev.satellites.boot-id";
/** Enough for the records of 50,000 pieces of cache, of about 200 bytes each. */
const MAX_USAGE_BYTES = 10 * 1024 * 1024;

/**
 * What BuildKit is asked: its workers, one of whose labels has the boot ID; its version; how large its cache may get; the
 * builds that run; and how large its cache is, for which it looks at every piece.
 *
 * @param measures whether to ask for the cache
 */
export function buildkitQuestions(
  schema: ServiceDefinition,
  { measures }: { readonly measures: boolean },
): GuestQuestions {
  const workers = methodOf(schema, "ListWorkers");
  const info = methodOf(schema, "Info");
  const history = methodOf(schema, "ListenBuildHistory");
  const usage = methodOf(schema, "DiskUsage");
  const call = (
    method: MethodDefinition<object, object>,
    request: object = {},
  ): GuestQuestions["calls"][0] => ({
    path: method.path,
    message: method.requestSerialize(request),
  });
  return {
    calls: [
      call(workers),
      call(info),
      call(history, { activeOnly: true, earlyExit: true }),
      ...(measures ? [{ ...call(usage), maxAnswerBytes: MAX_USAGE_BYTES }] : []),
    ],
    read([listed, told, events = [], sizes]) {
      const { record } = workers.responseDeserialize(listed) as ListWorkersResponse;
      const bootID = record.find(({ labels }) => BOOT_ID_LABEL in labels)?.labels[BOOT_ID_LABEL];
      const isStarted = (event: Buffer): boolean =>
        (history.responseDeserialize(event) as BuildHistoryEvent).type === "STARTED";
      return {
        ...(bootID === undefined ? {} : { bootID }),
        runningWork: events.filter(isStarted).length,
        buildkit: {
          version: record[0]?.buildkitVersion?.version ?? "",
          ...(sizes?.[0] === undefined ? {} : { cacheBytes: sizeOf(usage, sizes[0]) }),
          ...boundOf(record),
          answers: {
            [workers.path]: listed.toString("base64"),
            ...(told?.[0] === undefined ? {} : { [info.path]: told[0].toString("base64") }),
          },
        },
      };
    },
  };
}

/** The bound of the policies that are about all cache. */
function boundOf(record: ListWorkersResponse["record"]): { readonly cacheMaxBytes?: number } {
  const bounds = record
    .flatMap(({ gcPolicy }) => gcPolicy)
    .filter(({ filters, maxUsedSpace }) => filters.length === 0 && maxUsedSpace > 0)
    .map(({ maxUsedSpace }) => maxUsedSpace);
  return bounds.length === 0 ? {} : { cacheMaxBytes: Math.max(...bounds) };
}

function sizeOf(usage: MethodDefinition<object, object>, answer: Buffer): number {
  const { record } = usage.responseDeserialize(answer) as DiskUsageResponse;
  return record.reduce((sum, { size }) => sum + size, 0);
}

function methodOf(schema: ServiceDefinition, name: string): MethodDefinition<object, object> {
  const method = schema[name];
  if (method === undefined) {
    throw new SatelliteError("SchemaUnsuitable", `BuildKit's schema has no method ${name}`);
  }
  return method as MethodDefinition<object, object>;
}
