import type { Connection, ConnectFlags } from "../connect.ts";
import type { CliContext } from "../context.ts";
import { POD } from "../../kube/resources.ts";
import { findRouterPods, type Pod, type RouterPod } from "../proxy/router-pods.ts";
import type { RouterFlags } from "../router-flags.ts";

/** What one look came to. */
export interface Finding {
  readonly state: "ok" | "bad" | "unknown";
  readonly what: string;
  /** What to do about it. */
  readonly mend?: string;
  /** Nothing else can be looked at before that is mended. */
  readonly isTheEnd?: true;
}

/** Looks at one thing. */
export type Check = (doctor: Doctor) => Promise<Finding[]>;

/** What the checks look with. */
export class Doctor {
  readonly flags: ConnectFlags & RouterFlags;
  readonly connection: Connection;
  readonly context: CliContext;
  #pods: Promise<RouterPod[]> | undefined;

  constructor(flags: ConnectFlags & RouterFlags, connection: Connection, context: CliContext) {
    this.flags = flags;
    this.connection = connection;
    this.context = context;
  }

  routerPods(): Promise<RouterPod[]> {
    this.#pods ??= findRouterPods(this.connection, this.connection.namespace, this.flags.routerNamespace);
    return this.#pods;
  }

  /** Account of the operator's pods in a namespace. */
  async operatorAccount(namespace: string): Promise<string | undefined> {
    const { items } = await this.connection.client.list<Pod>(POD, {
      namespace,
      labelSelector: "app.kubernetes.io/part-of=satellites,app.kubernetes.io/component=operator",
    });
    return items[0]?.spec?.serviceAccountName;
  }

  /** Domain of satellites' names, as the routers that were found have it. */
  async routerDomain(): Promise<string | undefined> {
    const [pod] = await this.routerPods().catch(() => []);
    return pod?.settings.domain;
  }

  async hasRouterPods(): Promise<boolean> {
    try {
      return (await this.routerPods()).length > 0;
    } catch {
      return false;
    }
  }

  async post<T>(group: string, plural: string, body: object): Promise<T> {
    const path = `/apis/${group}/v1/${plural}`;
    return (await this.connection.call({
      method: "POST",
      path,
      contentType: "application/json",
      body: JSON.stringify(body),
    })) as T;
  }
}
