/** An image that is unpacked on this machine, layer by layer: a driver copies or stacks them. */
export interface Image {
  /** The digest by which it was asked for: of its manifest, or of the index that lists it. */
  digest: string;
  config: ImageConfig;
  /** The lowest first. */
  layers: readonly UnpackedLayer[];
}

/** What the image says about running it (OCI image configuration, "config"). */
export interface ImageConfig {
  entrypoint: readonly string[];
  cmd: readonly string[];
  /** `NAME=value`. */
  env: readonly string[];
  workingDir: string;
  labels: Readonly<Record<string, string>>;
  /** As the image says it, for example `SIGTERM` or `15`; it may be none that this machine has. */
  stopSignal?: string;
  /** `os/architecture`, for example `linux/amd64`. */
  platform: string;
}

export interface UnpackedLayer {
  digest: string;
  /** The folder with the layer's files. */
  path: string;
  /** Paths that this layer removes from those below it. */
  whiteouts: readonly string[];
  /** Folders of which this layer hides what those below it put there. */
  opaques: readonly string[];
  sizeBytes: number;
}

/** The image that a pod asks for cannot be had: its message is the registry's. */
export class ImagePullError extends Error {
  override readonly name = 'ImagePullError';
}
