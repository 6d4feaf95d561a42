import {
  baseLayersLabel,
  digestOf,
  formatReference,
  type ImageConfig,
  type Manifest,
  mediaTypes,
  parseReference,
} from '../registry/index.ts';
import { nonroot } from './base/machine-base.ts';
import type { CarriedOut } from './carry-out.ts';
import type { BuildContext } from './context.ts';

/** Go's names, which images use. */
const architectures: Record<string, string> = { x64: 'amd64', ia32: '386' };

export interface PushedImage {
  /** By digest. */
  image: string;
  digest: string;
}

/** Puts the layers together and pushes the image. Nothing in it says when, where or by whom it was made. */
export async function pushImage({ layers, baseCount, start }: CarriedOut, context: BuildContext): Promise<PushedImage> {
  context.progress('pushing the image');
  const imageConfig: ImageConfig = {
    architecture: architectures[process.arch] ?? process.arch,
    os: process.platform,
    config: {
      ...(baseCount > 0 && { User: `${nonroot.id}:${nonroot.id}` }),
      Entrypoint: start.entrypoint,
      WorkingDir: '/app',
      Labels: { ...start.labels, ...(baseCount > 0 && { [baseLayersLabel]: `${baseCount}` }) },
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map(({ createdBy }) => ({ created_by: `kittiwake build: ${createdBy}` })),
  };
  const configBytes = Buffer.from(JSON.stringify(imageConfig));
  const config = { mediaType: mediaTypes.config, digest: digestOf(configBytes), size: configBytes.length };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    // Written out, so that the order of the fields, and with it the digest, is always the same.
    layers: layers.map(({ descriptor: { mediaType, digest, size } }) => ({ mediaType, digest, size })),
  };
  const { host, name } = parseReference(context.repository);
  const blobs = [{ descriptor: config, content: configBytes }, ...layers];
  const digest = await context.registry.push({ host, name }, { manifest, blobs }, context.signal);
  return { image: formatReference({ host, name, digest }), digest };
}
