/** Images made from folders of this machine by the system's tar, for tests that run foreign programs. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { digestOf, type Manifest, mediaTypes, type RegistryClient } from '../../src/registry/index.ts';

/** The OCI image configuration's `config`, as far as tests say something there. */
export interface RunConfig {
  Entrypoint?: string[];
  Cmd?: string[];
  Env?: string[];
  User?: string;
  WorkingDir?: string;
}

/** A layer's bytes, gzipped, and the digest of what was zipped. */
export interface TestLayer {
  bytes: Buffer;
  diffId: string;
}

/** What `fill` puts into a new folder, as a layer: all of it is root's, with the modes it has there. */
export function layerOfFolder(fill: (folder: string) => void): TestLayer {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-layer-'));
  try {
    chmodSync(folder, 0o755);
    fill(folder);
    const flags = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
    const tar = execFileSync('tar', ['--create', ...flags, '--directory', folder, '.'], { maxBuffer: 2 ** 30 });
    return { bytes: gzipSync(tar, { level: 1 }), diffId: digestOf(tar) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `nonroot` (65532), /tmp, and who signs certificates: what images of static programs usually stand on. */
export function nonrootBase(): TestLayer {
  return layerOfFolder((folder) => {
    for (const path of ['tmp', 'etc/ssl/certs', 'home/nonroot']) mkdirSync(join(folder, path), { recursive: true });
    chmodSync(join(folder, 'tmp'), 0o1777);
    writeFileSync(join(folder, 'etc/passwd'), 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n');
    writeFileSync(join(folder, 'etc/group'), 'nonroot:x:65532:\n');
  });
}

export const nonrootConfig: RunConfig = {
  User: '65532',
  WorkingDir: '/home/nonroot',
  Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
};

/** One program of this machine, at `path` in the image. */
export function layerOfProgram(program: string, path: string): TestLayer {
  return layerOfFolder((folder) => {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(program, target, { dereference: true });
    chmodSync(target, 0o755);
  });
}

/** Pushes an image for this machine's platform as `reference`; returns its digest. */
export function pushTestImage(
  registry: RegistryClient,
  reference: string,
  layers: readonly TestLayer[],
  config: RunConfig,
): Promise<string> {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;
  const rootfs = { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) };
  const configBytes = Buffer.from(JSON.stringify({ architecture, os: 'linux', config, rootfs }));
  const described = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    size: bytes.length,
  });
  const configDescriptor = described(mediaTypes.config, configBytes);
  const layerDescriptors = layers.map(({ bytes }) => described(mediaTypes.layerGzip, bytes));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: configDescriptor,
    layers: layerDescriptors,
  };
  const blobs = layerDescriptors.map((descriptor, at) => ({
    descriptor,
    content: layers[at]?.bytes ?? Buffer.alloc(0),
  }));
  return registry.push(reference, {
    manifest,
    blobs: [{ descriptor: configDescriptor, content: configBytes }, ...blobs],
  });
}
