import { parseDigest } from './digest.ts';

/** OCI image specification 1.1, "Content Descriptors". */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
  artifactType?: string;
  urls?: string[];
  platform?: { os: string; architecture: string; variant?: string };
}

/** An image manifest or an index, of OCI or of Docker's schema 2, which has the same fields. */
export interface Manifest {
  schemaVersion: 2;
  mediaType?: string;
  artifactType?: string;
  config?: Descriptor;
  layers?: Descriptor[];
  manifests?: Descriptor[];
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

/** OCI image specification 1.1, "Image Configuration"; the fields that we write. */
export interface ImageConfig {
  architecture: string;
  os: string;
  config: {
    Entrypoint?: string[];
    Cmd?: string[];
    Env?: string[];
    WorkingDir?: string;
    Labels?: Record<string, string>;
    ExposedPorts?: Record<string, object>;
    User?: string;
    StopSignal?: string;
  };
  rootfs: { type: 'layers'; diff_ids: string[] };
  history?: { created_by?: string; created?: string; comment?: string; empty_layer?: boolean }[];
}

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  layerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  layerTar: 'application/vnd.oci.image.layer.v1.tar',
  empty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const;

/** What every client should accept when it asks for a manifest. */
export const manifestMediaTypes = [
  mediaTypes.manifest,
  mediaTypes.index,
  mediaTypes.dockerManifest,
  mediaTypes.dockerIndex,
];

/** Both sides refuse more; the specification asks for at least this much. */
export const maxManifestBytes = 4 * 1024 * 1024;

/** Reads a manifest or an index; throws an Error that says what is wrong with it. */
export function parseManifest(bytes: Buffer): Manifest & { mediaType: string } {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new Error('the manifest is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('the manifest is not a JSON object');
  }
  const manifest = value as Manifest;
  if (manifest.schemaVersion !== 2) throw new Error(`schemaVersion is ${manifest.schemaVersion}: must be 2`);
  if (manifest.config !== undefined) checkDescriptor(manifest.config, 'config');
  if (manifest.subject !== undefined) checkDescriptor(manifest.subject, 'subject');
  checkList(manifest.layers, 'layers');
  checkList(manifest.manifests, 'manifests');
  if (manifest.layers === undefined && manifest.manifests === undefined) {
    throw new Error('the manifest has neither layers nor manifests');
  }
  if (manifest.manifests !== undefined && (manifest.layers !== undefined || manifest.config !== undefined)) {
    throw new Error('the manifest has both manifests and layers or config: it must be an index or an image');
  }
  const mediaType = manifest.mediaType ?? (manifest.manifests ? mediaTypes.index : mediaTypes.manifest);
  checkMediaType(mediaType, 'mediaType');
  if (manifest.artifactType !== undefined) checkMediaType(manifest.artifactType, 'artifactType');
  checkAnnotations(manifest.annotations, 'annotations');
  return { ...manifest, mediaType };
}

/** What a registry must hold before it accepts the manifest; layers that may not be distributed are left out. */
export function requiredBlobs(manifest: Manifest): Descriptor[] {
  const layers = (manifest.layers ?? []).filter((layer) => !isForeign(layer));
  return [...(manifest.config ? [manifest.config] : []), ...layers];
}

function isForeign({ mediaType }: Descriptor): boolean {
  return mediaType.includes('.nondistributable.') || mediaType.includes('.foreign.');
}

function checkList(list: unknown, at: string): void {
  if (list === undefined) return;
  if (!Array.isArray(list)) throw new Error(`${at} is not a list`);
  list.forEach((item, i) => {
    checkDescriptor(item, `${at}[${i}]`);
  });
}

function checkDescriptor(value: unknown, at: string): void {
  if (typeof value !== 'object' || value === null) throw new Error(`${at} is not a descriptor`);
  const { mediaType, digest, size, platform } = value as Partial<Descriptor>;
  if (typeof mediaType !== 'string') throw new Error(`${at}.mediaType is missing`);
  if (typeof digest !== 'string' || !parseDigest(digest)) throw new Error(`${at}.digest is ${digest}: bad digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new Error(`${at}.size is ${size}`);
  if (platform !== undefined && (typeof platform?.os !== 'string' || typeof platform.architecture !== 'string')) {
    throw new Error(`${at}.platform is ${JSON.stringify(platform)}: must name os and architecture`);
  }
}

/** RFC 6838 §4.2; it goes out as a header. Docker's own are longer than the RFC's 127 characters allow for. */
function checkMediaType(value: unknown, at: string): void {
  if (typeof value === 'string' && value.length <= 255 && /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(value)) return;
  throw new Error(`${at} is ${JSON.stringify(value)?.slice(0, 100)}: must be a media type`);
}

function checkAnnotations(value: unknown, at: string): void {
  if (value === undefined || value === null) return;
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error(`${at} is not an object`);
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new Error(`${at}[${JSON.stringify(name.slice(0, 60))}] is not a text`);
  }
}
