import { pythonWith } from "./python-package.ts";

/** A Python that has grpcio, the Python binding of the C core; other languages' clients are bindings of it too. */
export function pythonWithGrpc(): Promise<string | { readonly missing: string }> {
  return pythonWith({ name: "grpcio", version: "1.76.0", module: "grpc" });
}
