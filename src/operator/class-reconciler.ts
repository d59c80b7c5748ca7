import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import type { JsonPatchOperation, KubeClient } from "../kube/client.ts";
import { isConflict, isInvalid, isNotFound, isRejected } from "../kube/errors.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import type { WorkResult } from "../kube/workers.ts";
import type { ClassFacts, MachineCloud } from "../machines/cloud.ts";
import { CloudError } from "../machines/errors.ts";
import { setConditions, withProgress, type ConditionChange } from "../satellite/conditions.ts";
import { set, test } from "../satellite/json-patch.ts";
import { CLASS_FINALIZER, OPERATOR_FIELD_MANAGER, SATELLITE_CLASSES } from "../satellite/resource.ts";
import { sameJson } from "../satellite/status-patch.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Announcement } from "./action.ts";
import { addFinalizer, removeFinalizer } from "./finalizers.ts";
import { listSatellites } from "./list-satellites.ts";
import type { OperatorMetrics } from "./metrics.ts";
import { RejectedWrite } from "./rejected-write.ts";
import { knownCloud } from "./unknown-cloud.ts";

/** What a {@link ClassReconciler} takes. */
export interface ClassReconcilerOptions {
  readonly client: KubeClient;
  readonly classes: {
    get(name: string): SatelliteClass | undefined;
    upsert(satelliteClass: SatelliteClass): unknown;
  };
  /** Satellites that name a class, as the cache has them. */
  readonly usersOf: (className: string) => readonly Satellite[];
  readonly cloudOf: (satelliteClass: SatelliteClass) => MachineCloud;
  readonly assertLeading: () => void;
  readonly announce: (satelliteClass: SatelliteClass, announcement: Announcement) => void;
  readonly metrics: Pick<OperatorMetrics, "failures">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between two looks at a class, in milliseconds. */
  readonly resyncMs: number;
}

type Resolved = Readonly<Record<string, unknown>>;

/** Users that a message names, at most. */
const NAMED_USERS = 5;
/** Before another look where reading failed, in milliseconds. */
const RETRY_MS = 60_000;

/**
 * Shows on each SatelliteClass what was found for it, and keeps a class from being deleted while satellites use it: without
 * the class the operator would not know where their machines are.
 */
export class ClassReconciler {
  readonly #options: ClassReconcilerOptions;

  constructor(options: ClassReconcilerOptions) {
    this.#options = options;
  }

  /**
   * Does the next step for a class.
   *
   * @throws KubeError when the API server cannot be reached or refuses for good
   */
  async reconcile(name: string): Promise<WorkResult | undefined> {
    const { classes, usersOf } = this.#options;
    const satelliteClass = classes.get(name);
    if (satelliteClass === undefined) {
      return undefined;
    }
    const holds = satelliteClass.metadata.finalizers?.includes(CLASS_FINALIZER) === true;
    const users = usersOf(name);
    if (satelliteClass.metadata.deletionTimestamp !== undefined) {
      return holds ? this.#decideDeletion(satelliteClass, users) : undefined;
    }
    if (!holds && users.length > 0) {
      return this.#patch(satelliteClass, addFinalizer(satelliteClass, CLASS_FINALIZER));
    }
    return this.#inspect(satelliteClass);
  }

  async #decideDeletion(
    satelliteClass: SatelliteClass,
    cached: readonly Satellite[],
  ): Promise<WorkResult | undefined> {
    const { client, resyncMs } = this.#options;
    const { name } = satelliteClass.metadata;
    // The cache may not have a satellite yet that was just created.
    const users =
      cached.length > 0
        ? cached
        : (await listSatellites(client)).filter(({ spec }) => spec.className === name);
    if (users.length === 0) {
      return this.#patch(satelliteClass, removeFinalizer(satelliteClass, CLASS_FINALIZER));
    }
    const named = users.slice(0, NAMED_USERS).map((user) => keyString(objectKey(user)));
    const more = users.length > NAMED_USERS ? ` and ${users.length - NAMED_USERS} more` : "";
    const inUse: ConditionChange = {
      type: "Ready",
      status: "False",
      reason: "InUse",
      message: `it is deleted when no satellite uses it any more; delete ${named.join(", ")}${more}`,
    };
    return this.#writeStatus(satelliteClass, inUse, satelliteClass.status?.resolved, resyncMs);
  }

  async #inspect(satelliteClass: SatelliteClass): Promise<WorkResult | undefined> {
    const { cloudOf, logger, resyncMs } = this.#options;
    const { spec, status } = satelliteClass;
    // Somebody has just edited the class and waits for the result, so nothing is taken from a cache.
    const isFresh = status?.observedGeneration !== satelliteClass.metadata.generation;
    try {
      const types = [...new Set(Object.values(spec.sizes).flatMap((size) => size.types))];
      const facts = await cloudOf(satelliteClass).inspect({ classSpec: spec, types, isFresh });
      return await this.#writeStatus(satelliteClass, readiness(facts), resolvedOf(facts), resyncMs);
    } catch (error) {
      if (!(error instanceof CloudError)) {
        throw error;
      }
      logger.warn("The class could not be resolved", { class: satelliteClass.metadata.name, error });
      const isWrong = error.class === "parameter" || error.class === "permission";
      const condition: ConditionChange = {
        type: "Ready",
        status: isWrong ? "False" : "Unknown",
        reason: error.reason,
        message: error.message,
      };
      return this.#writeStatus(satelliteClass, condition, isWrong ? undefined : status?.resolved, RETRY_MS);
    }
  }

  /** Writes what changed, if anything did. */
  async #writeStatus(
    satelliteClass: SatelliteClass,
    condition: ConditionChange,
    resolved: Resolved | undefined,
    againAfterMs: number,
  ): Promise<WorkResult | undefined> {
    const { metadata, spec, status } = satelliteClass;
    const generation = metadata.generation ?? 0;
    const now = this.#options.clock.now();
    const conditions = setConditions(status?.conditions, [condition], now, generation);
    const diskGiB = knownCloud(satelliteClass, this.#options.cloudOf)?.diskGiB(spec, undefined);
    const wanted = {
      observedGeneration: generation,
      ...(diskGiB === undefined ? {} : { diskGiB }),
      ...(resolved === undefined ? {} : { resolved }),
      conditions: withProgress(conditions, condition.status === "False", now, generation),
    };
    if (sameJson(status ?? {}, wanted)) {
      return { requeueAfterMs: againAfterMs };
    }
    try {
      await this.#patch(satelliteClass, [set("/status", wanted)], "status");
    } catch (error) {
      if (!(error instanceof RejectedWrite)) {
        throw error;
      }
      return this.#showRejection(satelliteClass, error);
    }
    return { requeueAfterMs: againAfterMs };
  }

  /** Shows on the class that its status cannot be stored, if at least that can. */
  async #showRejection(satelliteClass: SatelliteClass, error: RejectedWrite): Promise<WorkResult> {
    const { announce, metrics, logger, clock } = this.#options;
    const { metadata, status } = satelliteClass;
    const { code: reason, message } = error;
    metrics.failures.inc({ reason });
    logger.error("The API server will not store what is written", { class: metadata.name, error });
    const ready = { type: "Ready", status: "False", reason, message } as const;
    if (status?.conditions?.find(({ type }) => type === "Ready")?.message !== message) {
      announce(satelliteClass, { type: "Warning", reason, message });
    }
    const generation = metadata.generation ?? 0;
    const now = clock.now();
    const conditions = setConditions(status?.conditions, [ready], now, generation);
    const shown = {
      ...status,
      observedGeneration: generation,
      conditions: withProgress(conditions, true, now, generation),
    };
    if (!sameJson(status ?? {}, shown)) {
      await this.#patch(satelliteClass, [set("/status", shown)], "status").catch((again: unknown) => {
        if (!(again instanceof RejectedWrite)) {
          throw again;
        }
      });
    }
    return { requeueAfterMs: RETRY_MS };
  }

  async #patch(
    satelliteClass: SatelliteClass,
    operations: readonly JsonPatchOperation[],
    subresource?: "status",
  ): Promise<WorkResult | undefined> {
    const { assertLeading, classes, client } = this.#options;
    const { name, uid, resourceVersion } = satelliteClass.metadata;
    assertLeading();
    const guarded = [test("/metadata/uid", uid), ...operations];
    try {
      const written = await client.patch<SatelliteClass>(
        SATELLITE_CLASSES,
        { name },
        { type: "json", operations: guarded },
        { fieldManager: OPERATOR_FIELD_MANAGER, ...(subresource === undefined ? {} : { subresource }) },
      );
      classes.upsert(written);
      return { requeueAfterMs: 0 };
    } catch (error) {
      if (isNotFound(error)) {
        return undefined;
      }
      if (isRejected(error)) {
        throw new RejectedWrite(error);
      }
      if (isInvalid(error) || isConflict(error)) {
        const version = String(resourceVersion);
        throw new SatelliteError(
          "StaleClass",
          `SatelliteClass ${name} has changed since ${version}: ${toError(error).message}`,
          { cause: error },
        );
      }
      throw error;
    }
  }
}

function readiness({ architectures, images }: ClassFacts): ConditionChange {
  return architectures.length > 0
    ? {
        type: "Ready",
        status: "True",
        reason: "Resolved",
        message: `machines can be launched for ${architectures.join(" and ")}`,
      }
    : {
        type: "Ready",
        status: "False",
        reason: "NoTypeAvailable",
        message:
          `there are images for ${Object.keys(images).join(" and ")}, but the region has no type of spec.sizes for ` +
          "them; correct the types",
      };
}

/** `status.resolved`: the images, which the operator goes by, and what the cloud itself says to people. */
function resolvedOf({ images, details }: ClassFacts): Resolved {
  return { ...details, images };
}
