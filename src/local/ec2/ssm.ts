import { toError } from "../../base/errors.ts";
import { jsonResponse, type WireResponse } from "./wire.ts";

/** Content type of the JSON protocol (AWS JSON 1.1). */
const CONTENT_TYPE = "application/x-amz-json-1.1";

function refuse(type: string, message: string): WireResponse {
  return jsonResponse(400, { __type: type, message }, CONTENT_TYPE);
}

/** What a request to the parameter store comes to. */
export interface SsmAnswer {
  readonly action: string;
  readonly outcome: string;
  readonly response: WireResponse;
}

/**
 * Answers a request to the SSM parameter store: GetParameter and nothing else.
 *
 * @param target the header `x-amz-target`
 * @param parameters values by name
 */
export function answerSsm(
  target: string,
  body: string,
  parameters: Readonly<Record<string, string>>,
): SsmAnswer {
  const action = target.split(".").at(-1) ?? "";
  const answer = (response: WireResponse, outcome: string): SsmAnswer => ({ action, outcome, response });
  if (target !== "AmazonSSM.GetParameter") {
    return answer(
      refuse("UnknownOperationException", `${target} is not served`),
      "UnknownOperationException",
    );
  }
  let name: unknown;
  let unknown: string[];
  try {
    const request = JSON.parse(body) as Record<string, unknown>;
    name = request["Name"];
    unknown = Object.keys(request).filter((key) => key !== "Name" && key !== "WithDecryption");
  } catch (error) {
    return answer(refuse("SerializationException", toError(error).message), "SerializationException");
  }
  if (typeof name !== "string" || unknown.length > 0) {
    const message = unknown.length > 0 ? `Unknown members: ${unknown.join(", ")}` : "Name is missing";
    return answer(refuse("ValidationException", message), "ValidationException");
  }
  const value = parameters[name];
  if (value === undefined) {
    return answer(refuse("ParameterNotFound", `Parameter ${name} not found.`), "ParameterNotFound");
  }
  const parameter = { Name: name, Type: "String", Value: value, Version: 1, DataType: "aws:ec2:image" };
  return answer(jsonResponse(200, { Parameter: parameter }, CONTENT_TYPE), "ok");
}
