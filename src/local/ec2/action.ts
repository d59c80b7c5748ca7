import type { Ec2Model } from "./model.ts";
import type { QueryParameters } from "./query-parameters.ts";
import type { XmlNode } from "./xml.ts";

/** A request whose parameters were all read, ready to be carried out. */
export interface ReadyAction {
  /** Key of the bucket that it counts against; default the action's name. */
  readonly bucket?: string;
  /** Instances that it names; they count against the resource bucket and are logged. */
  readonly ids?: readonly string[];
  /** Resources that it counts as; default the number of `ids`. */
  readonly resources?: number;
  /** Whether it was asked for as a dry run: all is checked, nothing is done (EC2 API reference, "DryRun"). */
  readonly dryRun?: boolean;
  /** What a dry run checks beside the parameters' form: whether what they name is there. May throw an `Ec2ApiError`. */
  check?(): void;
  /** Does it; may throw an `Ec2ApiError`. */
  run(): Outcome | Promise<Outcome>;
}

/** What an action answers. */
export interface Outcome {
  readonly content: XmlNode;
  /** Instances that it made, for the log. */
  readonly ids?: readonly string[];
}

/** Reads the parameters of one action. */
export type Action = (model: Ec2Model, parameters: QueryParameters) => ReadyAction;
