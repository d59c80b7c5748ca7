import type { Action } from "./action.ts";
import { Ec2ApiError, invalidCombination, missingParameter } from "./api-error.ts";
import { stateChangeXml } from "./instance-xml.ts";
import type { StateChange } from "./model.ts";
import type { QueryParameters } from "./query-parameters.ts";
import { readTags } from "./tags.ts";
import type { XmlNode } from "./xml.ts";

/** EC2 takes at most 1,000 instances in one request (API reference, `InstanceIds`). */
const MAX_INSTANCES = 1_000;

function readIds(parameters: QueryParameters): string[] {
  const ids = [...new Set(parameters.strings("InstanceId"))];
  if (ids.length === 0) {
    throw missingParameter("InstanceId");
  }
  if (ids.length > MAX_INSTANCES) {
    throw new Ec2ApiError("InvalidParameterValue", `At most ${MAX_INSTANCES} instances in one request`);
  }
  return ids;
}

function changesXml(changes: readonly StateChange[]): XmlNode {
  return { instancesSet: changes.map(stateChangeXml) };
}

export const startInstances: Action = (model, parameters) => {
  const ids = readIds(parameters);
  return { ids, check: () => model.checkThere(ids), run: () => ({ content: changesXml(model.start(ids)) }) };
};

/** Stops or hibernates. `Hibernate` and `Force` together are refused: a forced guest keeps no memory. */
export const stopInstances: Action = (model, parameters) => {
  const ids = readIds(parameters);
  const hibernate = parameters.boolean("Hibernate") ?? false;
  const force = parameters.boolean("Force") ?? false;
  if (hibernate && force) {
    throw invalidCombination("The parameters Hibernate and Force cannot be used together");
  }
  return {
    ids,
    check: () => model.checkThere(ids),
    run: () => ({ content: changesXml(model.stop(ids, { hibernate, force })) }),
  };
};

export const terminateInstances: Action = (model, parameters) => {
  const ids = readIds(parameters);
  return {
    ids,
    check: () => model.checkThere(ids),
    run: () => ({ content: changesXml(model.terminate(ids)) }),
  };
};

export const rebootInstances: Action = (model, parameters) => {
  const ids = readIds(parameters);
  return {
    ids,
    run: () => {
      model.reboot(ids);
      return { content: { return: true } };
    },
  };
};

export const createTags: Action = (model, parameters) => {
  const ids = parameters.strings("ResourceId");
  const tags = readTags(parameters);
  if (ids.length === 0 || Object.keys(tags).length === 0) {
    throw missingParameter(ids.length === 0 ? "ResourceId" : "Tag");
  }
  return {
    ids,
    check: () => model.checkThere(ids.filter((id) => !id.startsWith("vol-"))),
    run: () => {
      model.tag(ids, tags);
      return { content: { return: true } };
    },
  };
};

/** Changes one attribute: the type of a stopped instance, or its protection. */
export const modifyInstanceAttribute: Action = (model, parameters) => {
  const id = parameters.requiredString("InstanceId");
  const type = parameters.structure("InstanceType")?.requiredString("Value");
  const disableApiTermination = parameters.structure("DisableApiTermination")?.boolean("Value");
  const disableApiStop = parameters.structure("DisableApiStop")?.boolean("Value");
  const given = [type, disableApiTermination, disableApiStop].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw invalidCombination("Fields for exactly one attribute must be specified");
  }
  return {
    ids: [id],
    run: async () => {
      if (type !== undefined) {
        await model.changeType(id, type);
      }
      if (disableApiTermination !== undefined) {
        model.protect(id, { disableApiTermination });
      }
      if (disableApiStop !== undefined) {
        model.protect(id, { disableApiStop });
      }
      return { content: { return: true } };
    },
  };
};
