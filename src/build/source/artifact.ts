import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Header, extract as tarExtract } from 'tar-stream';
import { messageOf } from '../../lib/errors.ts';
import {
  digestOf,
  formatReference,
  type Manifest,
  mediaTypes,
  parseReference,
  type Reference,
  type RegistryClient,
  RegistryClientError,
} from '../../registry/index.ts';
import { BuildFailure } from '../failure.ts';
import { type Layer, layerBy, sourceEntries } from '../layers/layer.ts';
import { localSource } from './folder.ts';
import type { SourceFolder, SourceLimits } from './source.ts';
import { SourceWriter } from './writer.ts';

/** What an uploaded folder is, among the artifacts of a registry. */
export const sourceArtifactType = 'application/vnd.kittiwake.source.v1';
const emptyConfig = Buffer.from('{}');
/** The root of the archive, so that the folder itself has no entry. */
const root = 'source';

/**
 * Packs a folder of this machine and pushes it as an OCI artifact. Equal folders give equal digests. `reference` says
 * where to, for example `registry.localhost/default/orders-source`; the returned image is that name by digest.
 */
export async function uploadFolder(options: {
  folder: string;
  reference: string;
  registry: RegistryClient;
  signal?: AbortSignal;
}): Promise<{ image: string; digest: string }> {
  const { folder, reference, registry, signal } = options;
  const { host, name } = parseReference(reference);
  const source = await localSource(folder);
  const temporary = await mkdtemp(join(tmpdir(), 'kittiwake-upload-'));
  try {
    const layer = await layerBy(sourceEntries(source, root), join(temporary, 'layer'), 'folder');
    return await pushArtifact(layer, { host, name }, registry, signal);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function pushArtifact(layer: Layer, target: Reference, registry: RegistryClient, signal?: AbortSignal) {
  const config = { mediaType: mediaTypes.empty, digest: digestOf(emptyConfig), size: emptyConfig.length };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: sourceArtifactType,
    config,
    layers: [layer.descriptor],
  };
  const blobs = [
    { descriptor: config, content: emptyConfig },
    { descriptor: layer.descriptor, content: layer.content },
  ];
  const digest = await registry.push(target, { manifest, blobs }, signal);
  return { image: formatReference({ ...target, digest }), digest };
}

/** Unpacks what `uploadFolder` packed into a new folder. Any archive may come, so none of its paths is trusted. */
export async function fetchArtifact(
  image: string,
  folder: string,
  registry: RegistryClient,
  signal: AbortSignal,
  limits?: SourceLimits,
): Promise<SourceFolder> {
  const { manifest } = await manifestOf(image, registry, signal);
  const layer = manifest.layers?.[0];
  if (manifest.layers?.length !== 1 || !layer) {
    throw new BuildFailure('SourceInvalid', `${image} is no uploaded folder: it must have one layer`);
  }
  const writer = new SourceWriter(folder, limits);
  const archive = tarExtract();
  const blob = await registry.blob(image, layer.digest, signal, layer.size);
  const unpacked = readEntries(archive, writer);
  // Headers cost memory as well, as long as the archive says that they are.
  const { totalBytesMax, filesMax } = writer.list.limits;
  const bounded = atMost(totalBytesMax + filesMax * entryBytes);
  const fed = layer.mediaType.endsWith('+gzip')
    ? pipeline(blob, createGunzip(), bounded, archive, { signal })
    : pipeline(blob, bounded, archive, { signal });
  try {
    await Promise.all([fed, unpacked]);
  } catch (error) {
    archive.destroy();
    await Promise.allSettled([fed, unpacked]);
    if (!isBroken(error)) throw error;
    const message = `${image} is no uploaded folder: ${messageOf(error)}`;
    throw new BuildFailure('SourceInvalid', message, { cause: error });
  }
  return writer.finish();
}

/** Whether the bytes are no archive (zlib's codes, tar-stream's words), rather than the registry away. */
function isBroken(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('Z_') || /tar header|Unexpected end of data/i.test(messageOf(error));
}

/** A tar header, its padding, and the name in a PAX header before it. */
const entryBytes = 4096;

/** Passes on up to `maxBytes`, and fails at more. */
function atMost(maxBytes: number): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      const message = `the uploaded archive unpacks to more than ${maxBytes} bytes`;
      done(sizeBytes > maxBytes ? new BuildFailure('SourceTooLarge', message) : null, chunk);
    },
  });
}

async function manifestOf(image: string, registry: RegistryClient, signal: AbortSignal) {
  try {
    return await registry.manifest(image, signal);
  } catch (error) {
    if (!(error instanceof RegistryClientError) || error.status !== 404) throw error;
    const remedy = "upload the folder again with 'kittiwake apply' or 'kittiwake deploy'";
    throw new BuildFailure('SourceNotFound', `the registry has no ${image}: ${remedy}`, { cause: error });
  }
}

async function readEntries(archive: ReturnType<typeof tarExtract>, writer: SourceWriter): Promise<void> {
  for await (const entry of archive) {
    const { name, type, size, mode, linkname }: Header = entry.header;
    const path = name.replace(/^(\.\/)+/, '').replace(/^source\//, '');
    if (type === 'file') {
      writer.list.reserve(path, size ?? 0);
      const file = writer.file(path, size ?? 0, ((mode ?? 0) & 0o100) !== 0);
      try {
        for await (const chunk of entry) file.write(chunk as Buffer);
      } finally {
        file.end();
      }
    } else {
      entry.resume();
      if (type === 'symlink') writer.list.addSymlink(path, linkname ?? '');
      else if (type !== 'directory') {
        throw new BuildFailure('SourceInvalid', `the source has a ${type} at ${name}: only files, folders and links`);
      }
    }
  }
}
