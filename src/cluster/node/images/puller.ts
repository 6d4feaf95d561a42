import type { Readable } from 'node:stream';
import type { Credentials } from '../../../registry/auth.ts';
import { digestOf, parseDigest } from '../../../registry/digest.ts';
import { parseImageConfig, type ReadImageConfig } from '../../../registry/image-config.ts';
import { baseLayersLabel, runtimeLabel } from '../../../registry/labels.ts';
import { type Descriptor, type Manifest, parseManifest } from '../../../registry/manifest.ts';
import { formatReference, parseReference } from '../../../registry/reference.ts';
import type { ImageConfig, LeftOutLayer } from './image.ts';
import { choosePlatform, hostPlatform, platformText } from './platform.ts';

/** What the store needs of a registry's client. */
export interface ImageSource {
  resolve(reference: string): Promise<string>;
  /** The manifest's own bytes. */
  manifest(reference: string): Promise<{ bytes: Buffer }>;
  /** At most `sizeBytes` of it, and it fails when they are others than the digest's, if it says that it checks. */
  blob(reference: string, digest: string, signal?: AbortSignal, sizeBytes?: number): Promise<Readable>;
  /** The same for who has these credentials, or none. */
  as?(credentials: Credentials | undefined): ImageSource;
}

/** All that there is to say about an image before its layers are here. */
export interface PulledManifest {
  config: ImageConfig;
  /** The lowest first: those that a node with a runtime of its own can do without, and all others. */
  base: LeftOutLayer[];
  layers: LeftOutLayer[];
  /** What is transferred for it, all in all. */
  sizeBytes: number;
}

const maxConfigBytes = 4 * 1024 * 1024;
/** Four times what Docker makes. */
const maxLayers = 512;
/** Indexes that list indexes. */
const maxDepth = 3;

/** The manifest of the image for this machine, and its configuration; both checked. `reference` has the digest. */
export async function pullManifest(source: ImageSource, reference: string, digest: string): Promise<PulledManifest> {
  const { manifest, sizeBytes } = await imageManifest(source, reference, digest, 0);
  if (!manifest.config || !manifest.layers) throw new Error('the manifest is not that of an image');
  if (manifest.config.size > maxConfigBytes)
    throw new Error(`the configuration is larger than ${maxConfigBytes} bytes`);
  const bytes = await readBounded(await source.blob(reference, manifest.config.digest), maxConfigBytes);
  verify(bytes, manifest.config.digest, 'configuration');
  const oci = parseImageConfig(bytes);
  const diffIds = oci.rootfs.diff_ids;
  const { layers: descriptors } = manifest;
  if (descriptors.length > maxLayers) throw new Error(`the image has more than ${maxLayers} layers`);
  if (diffIds.length !== descriptors.length) {
    throw new Error(
      `the configuration's rootfs.diff_ids lists ${diffIds.length} layers, the manifest ${descriptors.length}`,
    );
  }
  const config = configOf(oci);
  const layers = descriptors.map(({ digest, mediaType, size }, at) => {
    return { digest, mediaType, size, diffId: diffIds[at] ?? '' };
  });
  return {
    config,
    base: layers.splice(0, baseCountOf(config, layers.length)),
    layers,
    sizeBytes: descriptors.reduce((sum, layer) => sum + layer.size, sizeBytes + bytes.length),
  };
}

/** How many layers, from the bottom, an image of ours says that a node with its own runtime can do without. */
function baseCountOf({ labels }: ImageConfig, layerCount: number): number {
  const said = Number(labels[baseLayersLabel] ?? 0);
  return labels[runtimeLabel] !== undefined && Number.isInteger(said) && said > 0 ? Math.min(said, layerCount) : 0;
}

function configOf(oci: ReadImageConfig): ImageConfig {
  const { Entrypoint = [], Cmd = [], Env = [], WorkingDir, User = '', Labels = {}, StopSignal } = oci.config;
  return {
    entrypoint: Entrypoint,
    cmd: Cmd,
    env: Env,
    workingDir: WorkingDir || '/',
    user: User,
    labels: Labels,
    platform: platformText(oci),
    ...(StopSignal ? { stopSignal: StopSignal } : {}),
  };
}

/** The image's manifest; of an index, that of the image for this machine. */
async function imageManifest(
  source: ImageSource,
  reference: string,
  digest: string,
  depth: number,
): Promise<{ manifest: Manifest; sizeBytes: number }> {
  const { bytes } = await source.manifest(reference);
  verify(bytes, digest, 'manifest');
  const manifest = parseManifest(bytes);
  if (!manifest.manifests) return { manifest, sizeBytes: bytes.length };
  const chosen = choosePlatform(manifest.manifests.filter(isImage));
  if (!chosen) {
    const offered = new Set(
      manifest.manifests.filter(isImage).map((m) => (m.platform ? platformText(m.platform) : '?')),
    );
    const only = offered.size === 0 ? 'it offers none' : `it offers ${[...offered].slice(0, 30).join(', ')}`;
    throw new Error(`no match for platform ${hostPlatform} in manifest: ${only}`);
  }
  if (depth >= maxDepth) throw new Error(`the index lists indexes, more than ${maxDepth} deep`);
  const inner = formatReference({ ...parseReference(reference), digest: chosen.digest });
  const found = await imageManifest(source, inner, chosen.digest, depth + 1);
  return { ...found, sizeBytes: found.sizeBytes + bytes.length };
}

/** Builders list attestations beside their images, for a platform of which there is none. */
const isImage = ({ platform, artifactType }: Descriptor) => platform?.os !== 'unknown' && artifactType === undefined;

function verify(bytes: Buffer, digest: string, what: string): void {
  const actual = digestOf(bytes, parseDigest(digest)?.algorithm);
  if (actual !== digest) throw new Error(`the ${what} ${digest} came with the content of ${actual}`);
}

async function readBounded(stream: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the image's configuration is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
