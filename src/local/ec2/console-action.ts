import type { Action } from "./action.ts";

/**
 * The newest output of an instance's console (EC2 API reference, "GetConsoleOutput"). All types of the model are built on
 * Nitro, so `Latest` is allowed, and makes no difference: the output is always as it is now.
 */
export const getConsoleOutput: Action = (model, parameters) => {
  const id = parameters.requiredString("InstanceId");
  parameters.boolean("Latest");
  return {
    ids: [id],
    check: () => model.checkThere([id]),
    run: async () => {
      const { output, readAt } = await model.consoleOutput(id);
      return {
        content: {
          instanceId: id,
          timestamp: readAt.toISOString(),
          ...(output.length === 0 ? {} : { output: output.toString("base64") }),
        },
      };
    },
  };
};
