/** Writes images as an OCI image layout (OCI image specification, "Image Layout"): files that any registry takes. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packFolder } from "./archive.ts";
import type { Architecture } from "./debian.ts";
import type { ImageConfig } from "./dockerfile.ts";

const TYPES = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
} as const;

/** A blob as manifests name it (OCI image specification, "Content Descriptors"). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** One folder of an image. */
export interface Layer {
  readonly folder: string;
  /** Time of all its files, in seconds since 1970. */
  readonly seconds: number;
  /** For people who look at the image's history. */
  readonly description: string;
}

interface WrittenLayer extends Layer {
  readonly descriptor: Descriptor;
  /** Digest of the archive before it was compressed. */
  readonly diffId: string;
}

const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

const isoOf = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** A layout in the making. */
export class OciLayout {
  readonly #folder: string;
  readonly #scratch: string;
  readonly #layers = new Map<string, WrittenLayer>();

  /**
   * @param folder where it is written; what was there is removed
   * @param scratch a folder for files that do not stay
   */
  constructor(folder: string, scratch: string) {
    this.#folder = folder;
    this.#scratch = scratch;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
    writeFileSync(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  }

  #writeBlob(mediaType: string, bytes: Uint8Array): Descriptor {
    const digest = digestOf(bytes);
    writeFileSync(join(this.#folder, "blobs", digest.replace(":", "/")), bytes);
    return { mediaType, digest, size: bytes.byteLength };
  }

  #writeJson(mediaType: string, value: object): Descriptor {
    return this.#writeBlob(mediaType, Buffer.from(JSON.stringify(value)));
  }

  /** The same folder is written once, however many images have it. */
  #writeLayer(layer: Layer): WrittenLayer {
    const known = this.#layers.get(layer.folder);
    if (known !== undefined) {
      return known;
    }
    const archive = join(this.#scratch, "layer.tar");
    packFolder(layer.folder, archive, layer.seconds);
    const bytes = readFileSync(archive);
    rmSync(archive);
    const descriptor = this.#writeBlob(TYPES.layer, gzipSync(bytes, { level: 9 }));
    const written = { ...layer, descriptor, diffId: digestOf(bytes) };
    this.#layers.set(layer.folder, written);
    return written;
  }

  /**
   * Adds an image.
   *
   * @param seconds when it was created, in seconds since 1970
   */
  addImage(
    architecture: Architecture,
    config: ImageConfig,
    layers: readonly Layer[],
    seconds: number,
  ): Descriptor {
    const written = layers.map((layer) => this.#writeLayer(layer));
    const platform = { os: "linux", architecture };
    const configDescriptor = this.#writeJson(TYPES.config, {
      created: isoOf(seconds),
      ...platform,
      config,
      rootfs: { type: "layers", diff_ids: written.map(({ diffId }) => diffId) },
      history: written.map((layer) => ({ created: isoOf(layer.seconds), created_by: layer.description })),
    });
    const manifest = this.#writeJson(TYPES.manifest, {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config: configDescriptor,
      layers: written.map(({ descriptor }) => descriptor),
      annotations: config.Labels,
    });
    return { ...manifest, platform };
  }

  /**
   * Ends the layout with an index of its images.
   *
   * @param tag name by which tools that import the layout find it
   */
  finish(
    images: readonly Descriptor[],
    annotations: Readonly<Record<string, string>>,
    tag: string,
  ): Descriptor {
    const index = this.#writeJson(TYPES.index, {
      schemaVersion: 2,
      mediaType: TYPES.index,
      manifests: images,
      annotations,
    });
    const named = { ...index, annotations: { "org.opencontainers.image.ref.name": tag } };
    writeFileSync(
      join(this.#folder, "index.json"),
      JSON.stringify({ schemaVersion: 2, mediaType: TYPES.index, manifests: [named] }),
    );
    return index;
  }
}
