/** Says how a release came to be, as an in-toto statement of SLSA provenance v1. It is not signed. */
import type { PinnedPackage } from "./debian.ts";
import type { NodePackage, Revision } from "./sources.ts";

/** A file or image of the release. */
export interface Subject {
  readonly name: string;
  readonly digest: { readonly sha256: string };
}

/** What the statement is about. */
export interface ProvenanceInput {
  readonly version: string;
  readonly revision: Revision;
  readonly subjects: readonly Subject[];
  /** Hash of package-lock.json, which pins all packages of npm. */
  readonly lockSha256: string;
  readonly node: readonly NodePackage[];
  readonly debian: readonly PinnedPackage[];
}

const hexOf = (integrity: string): string =>
  Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");

/** It holds no time of the build and no name of the machine, so that the same sources give the same bytes. */
export function provenanceOf({
  version,
  revision,
  subjects,
  lockSha256,
  node,
  debian,
}: ProvenanceInput): object {
  const [commit = ""] = revision.name.split("+");
  return {
    _type: "https://in-toto.io/Statement/v1",
    subject: subjects,
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "https://satellites.dev/build/make-release/v1",
        externalParameters: { command: "make release", version, revision: revision.name },
        internalParameters: { SOURCE_DATE_EPOCH: String(revision.seconds) },
        resolvedDependencies: [
          { name: "the sources", digest: { gitCommit: commit } },
          { name: "package-lock.json", digest: { sha256: lockSha256 } },
          ...node.map(({ name, version: nodeVersion, integrity }) => ({
            uri: `pkg:npm/${name}@${nodeVersion}`,
            digest: { sha512: hexOf(integrity) },
          })),
          ...debian.map((pin) => ({ uri: debianUrl(pin), digest: { sha256: pin.sha256 } })),
        ],
      },
      runDetails: { builder: { id: "https://satellites.dev/builders/unsigned" } },
    },
  };
}

/** Package URL (purl specification, type deb). */
export function debianUrl({ name, version, architecture }: PinnedPackage): string {
  const encoded = [name, version].map((each) => encodeURIComponent(each));
  return `pkg:deb/debian/${encoded.join("@")}?arch=${architecture}&distro=bookworm`;
}
