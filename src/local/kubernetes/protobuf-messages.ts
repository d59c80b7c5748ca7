/** How a field of a protobuf message becomes JSON. */
export type ProtobufField =
  | {
      readonly name: string;
      readonly kind: "text" | "bytes" | "integer" | "boolean" | "time";
      readonly repeated?: boolean;
    }
  | { readonly name: string; readonly kind: "map"; readonly values: "text" | "bytes" }
  | {
      readonly name: string;
      readonly kind: "message";
      readonly message: ProtobufMessage;
      readonly repeated?: boolean;
    };

/** Fields by their numbers. Those that are not listed are skipped. */
export type ProtobufMessage = ReadonlyMap<number, ProtobufField>;

const text = (name: string): ProtobufField => ({ name, kind: "text" });
const texts = (name: string): ProtobufField => ({ name, kind: "text", repeated: true });
const integer = (name: string): ProtobufField => ({ name, kind: "integer" });
const boolean = (name: string): ProtobufField => ({ name, kind: "boolean" });
const textMap = (name: string): ProtobufField => ({ name, kind: "map", values: "text" });
const bytesMap = (name: string): ProtobufField => ({ name, kind: "map", values: "bytes" });
const part = (name: string, message: ProtobufMessage): ProtobufField => ({ name, kind: "message", message });

const ownerReference: ProtobufMessage = new Map([
  [1, text("kind")],
  [3, text("name")],
  [4, text("uid")],
  [5, text("apiVersion")],
  [6, boolean("controller")],
  [7, boolean("blockOwnerDeletion")],
]);

const objectMeta: ProtobufMessage = new Map<number, ProtobufField>([
  [1, text("name")],
  [2, text("generateName")],
  [3, text("namespace")],
  [5, text("uid")],
  [6, text("resourceVersion")],
  [7, integer("generation")],
  [8, { name: "creationTimestamp", kind: "time" }],
  [9, { name: "deletionTimestamp", kind: "time" }],
  [10, integer("deletionGracePeriodSeconds")],
  [11, textMap("labels")],
  [12, textMap("annotations")],
  [13, { name: "ownerReferences", kind: "message", message: ownerReference, repeated: true }],
  [14, texts("finalizers")],
]);

const resourceAttributes: ProtobufMessage = new Map([
  [1, text("namespace")],
  [2, text("verb")],
  [3, text("group")],
  [4, text("version")],
  [5, text("resource")],
  [6, text("subresource")],
  [7, text("name")],
]);
const nonResourceAttributes: ProtobufMessage = new Map([
  [1, text("path")],
  [2, text("verb")],
]);
const accessAttributes: readonly [number, ProtobufField][] = [
  [1, part("resourceAttributes", resourceAttributes)],
  [2, part("nonResourceAttributes", nonResourceAttributes)],
];

function resource(...fields: readonly [number, ProtobufField][]): ProtobufMessage {
  return new Map<number, ProtobufField>([[1, part("metadata", objectMeta)], ...fields]);
}

/**
 * The kinds that kubectl sends as protobuf, by apiVersion and kind, with the field numbers of the generated.proto
 * files of k8s.io/api and k8s.io/apimachinery.
 */
export const PROTOBUF_KINDS: ReadonlyMap<string, ProtobufMessage> = new Map([
  [
    "v1 Namespace",
    resource(
      [2, part("spec", new Map([[1, texts("finalizers")]]))],
      [3, part("status", new Map([[1, text("phase")]]))],
    ),
  ],
  ["v1 ConfigMap", resource([2, textMap("data")], [3, bytesMap("binaryData")], [4, boolean("immutable")])],
  [
    "v1 Secret",
    resource([2, bytesMap("data")], [3, text("type")], [4, textMap("stringData")], [5, boolean("immutable")]),
  ],
  ["authentication.k8s.io/v1 SelfSubjectReview", resource()],
  ["authorization.k8s.io/v1 SelfSubjectAccessReview", resource([2, part("spec", new Map(accessAttributes))])],
  [
    "authorization.k8s.io/v1 SubjectAccessReview",
    resource([
      2,
      part("spec", new Map([...accessAttributes, [3, text("user")], [4, texts("groups")], [6, text("uid")]])),
    ]),
  ],
  [
    "authentication.k8s.io/v1 TokenReview",
    resource([
      2,
      part(
        "spec",
        new Map([
          [1, text("token")],
          [2, texts("audiences")],
        ]),
      ),
    ]),
  ],
]);
