import { SatelliteError } from "../../base/errors.ts";

/**
 * A refusal as the EC2 API words it. `code` is EC2's own (API reference, "Error codes"); `status` the HTTP
 * status that it comes with: 400 for nearly all, 401 and 403 for credentials, 500 and 503 for the server's
 * own failures and, at times, for capacity.
 */
export class Ec2ApiError extends SatelliteError {
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(code, message);
    this.name = "Ec2ApiError";
    this.status = status;
  }
}

/** `InvalidParameterValue`, for a value that the named parameter cannot take. */
export function invalidValue(parameter: string, value: string, allowed: string): Ec2ApiError {
  return new Ec2ApiError(
    "InvalidParameterValue",
    `Value (${value}) for parameter ${parameter} is invalid. ${allowed}`,
  );
}

/** `MissingParameter`, for a request that leaves out what the action needs. */
export function missingParameter(parameter: string): Ec2ApiError {
  return new Ec2ApiError("MissingParameter", `The request must contain the parameter ${parameter}`);
}

/** `InvalidParameterCombination`, for parameters that exclude each other. */
export function invalidCombination(message: string): Ec2ApiError {
  return new Ec2ApiError("InvalidParameterCombination", message);
}
