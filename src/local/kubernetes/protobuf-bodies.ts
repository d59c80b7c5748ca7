import protobuf from "protobufjs";
import { toError } from "../../base/errors.ts";
import { ApiError, badRequest, unsupportedMediaType } from "./api-error.ts";
import { OBJECT_MEDIA_TYPES } from "./decode.ts";
import { isObject, type JsonObject } from "./json.ts";

/** The media type in which kubectl 1.37 writes built-in kinds; it sends nothing else, and reads JSON as well. */
export const PROTOBUF_MEDIA_TYPE = "application/vnd.kubernetes.protobuf";

/** Every Kubernetes protobuf body begins with this, then comes a runtime.Unknown. */
const MAGIC = Buffer.from("k8s\0", "latin1");

/** The kinds that are read, by apiVersion and kind; each kind's message has its name. */
const KINDS: ReadonlySet<string> = new Set([
  "v1 Namespace",
  "v1 ConfigMap",
  "v1 Secret",
  "authentication.k8s.io/v1 SelfSubjectReview",
  "authentication.k8s.io/v1 TokenReview",
  "authorization.k8s.io/v1 SelfSubjectAccessReview",
  "authorization.k8s.io/v1 SubjectAccessReview",
]);

/** Their messages, as far as clients fill them in: the generated.proto files of k8s.io/api and k8s.io/apimachinery. */
const MESSAGES = `
  message Unknown { optional TypeMeta typeMeta = 1; optional bytes raw = 2; }
  message TypeMeta { optional string apiVersion = 1; optional string kind = 2; }
  message Time { optional int64 seconds = 1; }
  message OwnerReference {
    optional string kind = 1; optional string name = 3; optional string uid = 4; optional string apiVersion = 5;
    optional bool controller = 6; optional bool blockOwnerDeletion = 7;
  }
  message ObjectMeta {
    optional string name = 1; optional string generateName = 2; optional string namespace = 3;
    optional string uid = 5; optional string resourceVersion = 6; optional int64 generation = 7;
    optional Time creationTimestamp = 8; optional Time deletionTimestamp = 9;
    optional int64 deletionGracePeriodSeconds = 10;
    map<string, string> labels = 11; map<string, string> annotations = 12;
    repeated OwnerReference ownerReferences = 13; repeated string finalizers = 14;
  }

  message Namespace { optional ObjectMeta metadata = 1; optional NamespaceSpec spec = 2; optional NamespaceStatus status = 3; }
  message NamespaceSpec { repeated string finalizers = 1; }
  message NamespaceStatus { optional string phase = 1; }
  message ConfigMap {
    optional ObjectMeta metadata = 1; map<string, string> data = 2; map<string, bytes> binaryData = 3;
    optional bool immutable = 4;
  }
  message Secret {
    optional ObjectMeta metadata = 1; map<string, bytes> data = 2; optional string type = 3;
    map<string, string> stringData = 4; optional bool immutable = 5;
  }

  message SelfSubjectReview { optional ObjectMeta metadata = 1; }
  message TokenReview { optional ObjectMeta metadata = 1; optional TokenReviewSpec spec = 2; }
  message TokenReviewSpec { optional string token = 1; repeated string audiences = 2; }
  message SelfSubjectAccessReview { optional ObjectMeta metadata = 1; optional SubjectAccessReviewSpec spec = 2; }
  message SubjectAccessReview { optional ObjectMeta metadata = 1; optional SubjectAccessReviewSpec spec = 2; }
  message SubjectAccessReviewSpec {
    optional ResourceAttributes resourceAttributes = 1; optional NonResourceAttributes nonResourceAttributes = 2;
    optional string user = 3; repeated string groups = 4; optional string uid = 6;
  }
  message ResourceAttributes {
    optional string namespace = 1; optional string verb = 2; optional string group = 3; optional string version = 4;
    optional string resource = 5; optional string subresource = 6; optional string name = 7;
  }
  message NonResourceAttributes { optional string path = 1; optional string verb = 2; }
`;

const { root } = protobuf.parse(MESSAGES);

/**
 * An object in Kubernetes' protobuf encoding (API concepts, "Protobuf encoding idiom") as JSON.
 *
 * @throws ApiError 400 when it cannot be read, 415 for kinds other than {@link KINDS}
 */
export function protobufToJson(body: Buffer): JsonObject {
  try {
    if (!body.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw new RangeError("the magic bytes are missing");
    }
    const { typeMeta, raw } = root.lookupType("Unknown").decode(body.subarray(MAGIC.length)) as unknown as {
      readonly typeMeta: { readonly apiVersion: string; readonly kind: string } | null;
      readonly raw: Uint8Array;
    };
    const { apiVersion = "", kind = "" } = typeMeta ?? {};
    if (!KINDS.has(`${apiVersion} ${kind}`)) {
      throw unsupportedMediaType(OBJECT_MEDIA_TYPES);
    }
    const message = root.lookupType(kind);
    const object = message.toObject(message.decode(raw), { longs: Number, bytes: String });
    timesToText(object["metadata"]);
    return { apiVersion, kind, ...object };
  } catch (error) {
    throw error instanceof ApiError
      ? error
      : badRequest(`the body of the request is not protobuf: ${toError(error).message}`);
  }
}

/** Writes times of ObjectMeta as JSON has them; an empty message is no time. */
function timesToText(metadata: unknown): void {
  if (!isObject(metadata)) {
    return;
  }
  for (const name of ["creationTimestamp", "deletionTimestamp"]) {
    const time = metadata[name];
    if (isObject(time)) {
      const { seconds } = time;
      metadata[name] =
        typeof seconds === "number" ? `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z` : null;
    }
  }
}
