/** An image of Debian with well-known programs, made here from Debian's packages, once. */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { digestOf, type Manifest, mediaTypes, type RegistryClient } from '../../src/registry/index.ts';

const release = 'bookworm';
const packages = [
  'nginx-light',
  'redis-server',
  'postgresql-15',
  'python3',
  'openjdk-17-jre-headless',
  'procps',
  'iproute2',
  'curl',
  'libcap2-bin',
  'sudo',
];

/** A setuid program, and one with a capability of its own: what they may do tells how far they are trusted. */
const customize = [
  'cp "$1/usr/bin/id" "$1/usr/local/bin/setuid-id" && chmod 4755 "$1/usr/local/bin/setuid-id"',
  'cp "$1/bin/cat" "$1/usr/local/bin/trusted-cat" && setcap cap_dac_override+ep "$1/usr/local/bin/trusted-cat"',
];

const cache = process.env.KITTIWAKE_TEST_IMAGES ?? join(homedir(), '.cache/kittiwake-test-images');

/** Why it cannot be made here, or undefined. */
export function whyNoDebian(): string | undefined {
  if (existsSync(layerFile())) return undefined;
  if (process.getuid?.() !== 0) return 'only root can install packages into a folder';
  if (spawnSync('mmdebstrap', ['--version']).status !== 0) return 'mmdebstrap, which makes the image, is not on PATH';
  return undefined;
}

const layerFile = () => {
  const key = createHash('sha256')
    .update(JSON.stringify([release, packages, customize]))
    .digest('hex')
    .slice(0, 12);
  return join(cache, `${release}-${process.arch}-${key}.tar.zst`);
};

/** Pushes it as `reference`. */
export async function pushDebian(registry: RegistryClient, reference: string): Promise<void> {
  const layer = await debianLayer();
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string] ?? process.arch;
  const config = { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['/bin/sh'] };
  const rootfs = { type: 'layers', diff_ids: [layer.diffId] };
  const configBytes = Buffer.from(JSON.stringify({ architecture, os: 'linux', config, rootfs }));
  const configured = { mediaType: mediaTypes.config, digest: digestOf(configBytes), size: configBytes.length };
  const descriptor = { mediaType: mediaTypes.layerZstd, digest: layer.digest, size: layer.size };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: configured,
    layers: [descriptor],
  };
  const blobs = [
    { descriptor: configured, content: configBytes },
    { descriptor, content: () => createReadStream(layerFile()) },
  ];
  await registry.push(reference, { manifest, blobs });
}

interface StoredLayer {
  digest: string;
  diffId: string;
  size: number;
}

async function debianLayer(): Promise<StoredLayer> {
  const file = layerFile();
  const notes = `${file}.json`;
  if (existsSync(notes)) return JSON.parse(readFileSync(notes, 'utf8'));
  mkdirSync(cache, { recursive: true });
  const tar = `${file}.${process.pid}.tar`;
  try {
    const hooks = customize.map((command) => `--customize-hook=${command}`);
    await run('mmdebstrap', '--mode=root', '--variant=minbase', `--include=${packages.join()}`, ...hooks, release, tar);
    const [diff, compressed] = [createHash('sha256'), createHash('sha256')];
    let size = 0;
    await pipeline(
      createReadStream(tar, { highWaterMark: 1024 * 1024 }),
      seen((chunk) => diff.update(chunk)),
      createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
      seen((chunk) => {
        compressed.update(chunk);
        size += chunk.length;
      }),
      createWriteStream(`${tar}.zst`),
    );
    const stored = { digest: `sha256:${compressed.digest('hex')}`, diffId: `sha256:${diff.digest('hex')}`, size };
    renameSync(`${tar}.zst`, file);
    writeFileSync(notes, JSON.stringify(stored));
    return stored;
  } finally {
    for (const path of [tar, `${tar}.zst`]) rmSync(path, { force: true });
  }
}

const seen = (look: (chunk: Buffer) => void) =>
  async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      look(chunk);
      yield chunk;
    }
  };

function run(command: string, ...args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { maxBuffer: 64 * 1024 * 1024 }, (error, _stdout, stderr) => {
      if (error) reject(new Error(`${command} failed: ${stderr.slice(-2000)}`));
      else resolve();
    });
  });
}
