import { stringify } from "yaml";

/** What a manifest of krew is made of. */
export interface KrewInput {
  readonly version: string;
  /** Where the release's files will lie. */
  readonly url: string;
  /** Name of the command's package among them. */
  readonly archive: string;
  readonly sha256: string;
}

/** Where `gh release create` puts the files of a repository on GitHub. */
export function releaseUrl(repository: string, version: string): string {
  return `https://github.com/${repository}/releases/download/v${version}`;
}

/**
 * The manifest by which krew installs `kubectl satellite` (krew's developer guide, "Writing Krew plugin manifests"). The
 * package of npm is one for all platforms; Node.js has to be there.
 */
export function krewManifest({ version, url, archive, sha256 }: KrewInput): string {
  const homepage = url.replace(/\/releases\/download\/.*/, "");
  return stringify(
    {
      apiVersion: "krew.googlecontainertools.github.com/v1alpha2",
      kind: "Plugin",
      metadata: { name: "satellite" },
      spec: {
        version: `v${version}`,
        homepage,
        shortDescription: "VMs that sleep and wake for requests",
        description:
          "Shows, wakes and reaches Satellites: VMs that sleep when nobody uses them and wake for the next gRPC\nrequest, such as a docker buildx build.\n",
        caveats: "Needs Node.js 24.12 or later in PATH. Begin with: kubectl satellite doctor\n",
        platforms: [
          {
            selector: { matchExpressions: [{ key: "os", operator: "In", values: ["darwin", "linux"] }] },
            uri: `${url}/${archive}`,
            sha256,
            files: [
              { from: "package/dist/*", to: "." },
              { from: "package/LICENSE", to: "." },
            ],
            bin: "kubectl-satellite.mjs",
          },
        ],
      },
    },
    { lineWidth: 0 },
  );
}
