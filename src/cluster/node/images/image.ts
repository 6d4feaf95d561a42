/** An image that is unpacked on this machine, layer by layer: a driver copies or stacks them. */
export interface Image {
  /** The digest by which it was asked for: of its manifest, or of the index that lists it. */
  digest: string;
  config: ImageConfig;
  /** The lowest first. */
  layers: readonly UnpackedLayer[];
  /** Those below them, not unpacked: this platform's own runtime can stand in for them (ImageStore.whole). */
  base: readonly LeftOutLayer[];
  /** What was transferred for it: its manifests, its configuration and its layers as they come. */
  sizeBytes?: number;
}

/** What it takes to have it after all. */
export interface LeftOutLayer {
  digest: string;
  mediaType: string;
  size: number;
  /** The digest of its uncompressed bytes. */
  diffId: string;
}

/** What the image says about running it (OCI image configuration, "config"). */
export interface ImageConfig {
  entrypoint: readonly string[];
  cmd: readonly string[];
  /** `NAME=value`. */
  env: readonly string[];
  workingDir: string;
  /** `USER`, `UID`, `USER:GROUP`… as the image says it; empty when it does not. */
  user: string;
  labels: Readonly<Record<string, string>>;
  /** As the image says it, for example `SIGTERM` or `15`; it may be none that this machine has. */
  stopSignal?: string;
  /** `os/architecture`, for example `linux/amd64`. */
  platform: string;
}

/** A layer on the disk, in the form that overlayfs stacks (layer-writer.ts). */
export interface UnpackedLayer {
  digest: string;
  /** The folder with the layer's files. */
  root: string;
  /** Paths that this layer removes from those below it; on the disk, character devices 0:0. */
  whiteouts: readonly string[];
  /** Folders of which this layer hides what those below it put there; on the disk, by an attribute. */
  opaques: readonly string[];
  /** Folders that are there for what is in them: the layer does not say what they are like. */
  implicit: readonly string[];
  sizeBytes: number;
  /** Why the tree is not all that the layer says: this machine, or its tar, does not let us. */
  lacks?: string;
}

/** The image that a pod asks for cannot be had; `reason` is what Kubernetes shows, the message is the registry's. */
export class ImagePullError extends Error {
  override readonly name = 'ImagePullError';
  readonly reason: 'ErrImagePull' | 'ErrImageNeverPull' | 'InvalidImageName';

  constructor(reason: ImagePullError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
