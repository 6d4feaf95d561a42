import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { TarEntry } from '../layers/tar.ts';
import type { BaseLayer } from '../packs/pack.ts';
import { compareBytes } from '../source/source.ts';
import { type MachineFile, machineFile, withLibraries } from './machine-files.ts';

/** Nobody's user, as images of functions usually have it: who runs as another has no more rights by that. */
export const nonroot = { id: 65532, name: 'nonroot', home: '/home/nonroot' };

/** Who signed what servers say of themselves, where distributions keep it. */
const certificates = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem'];

const texts = {
  'etc/passwd': [
    'root:x:0:0:root:/root:/sbin/nologin',
    `${nonroot.name}:x:${nonroot.id}:${nonroot.id}:${nonroot.name}:${nonroot.home}:/sbin/nologin`,
  ],
  'etc/group': ['root:x:0:', `${nonroot.name}:x:${nonroot.id}:`],
  'etc/nsswitch.conf': ['hosts: files dns'],
};

let assembled: Promise<BaseLayer[]> | undefined;

/**
 * What an image of this machine's Node stands on, assembled from files of this machine, as no base image is at hand: a
 * C library, a shell and `env` in one layer; the Node that the lockfile pins in another. Equal machines give equal
 * layers. None where images do not run by themselves (macOS).
 */
export function machineBase(): Promise<BaseLayer[]> {
  assembled ??= process.platform === 'linux' ? assemble() : Promise.resolve([]);
  return assembled;
}

async function assemble(): Promise<BaseLayer[]> {
  const tools = await withLibraries([
    { file: '/bin/sh', path: 'bin/sh' },
    { file: '/usr/bin/env', path: 'usr/bin/env' },
  ]);
  const node = await withLibraries([{ file: process.execPath, path: 'usr/local/bin/node' }]);
  const isOfTools = new Set(tools.map(({ path }) => path));
  const trusted = certificates.find((path) => existsSync(path));
  const signed = trusted === undefined ? [] : [machineFile(trusted, 'etc/ssl/certs/ca-certificates.crt')];
  const base: BaseLayer = {
    key: keyOf('base', [...tools, ...signed]),
    createdBy: 'base',
    because: `assembled from this machine: ${tools.map(({ path }) => `/${path}`).join(', ')}`,
    entries: () => inOrder([...systemEntries(), ...tools.map(programEntry), ...signed.map(dataEntry)]),
  };
  const ownFiles = node.filter(({ path }) => !isOfTools.has(path));
  const runtime: BaseLayer = {
    key: keyOf(`node ${process.version}`, ownFiles),
    createdBy: `node ${process.versions.node}`,
    because: `Node.js ${process.versions.node}, which runs this platform`,
    entries: () => inOrder(ownFiles.map(programEntry)),
  };
  return [base, runtime];
}

function systemEntries(): TarEntry[] {
  const files = Object.entries(texts).map(([path, lines]): TarEntry => {
    return { type: 'file', path, content: Buffer.from(`${lines.join('\n')}\n`), isExecutable: false };
  });
  return [...files, { type: 'folder', path: 'tmp', mode: 0o1777 }, { type: 'folder', path: nonroot.home.slice(1) }];
}

const fileEntry =
  (isExecutable: boolean) =>
  ({ file, path, sizeBytes }: MachineFile): TarEntry => ({
    type: 'file',
    path,
    content: { file, sizeBytes },
    isExecutable,
  });
const programEntry = fileEntry(true);
const dataEntry = fileEntry(false);

/** With the folders that they are in. */
function inOrder(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map(entries.map((entry) => [entry.path, entry]));
  for (const { path } of entries) {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash);
      if (!all.has(folder)) all.set(folder, { type: 'folder', path: folder });
    }
  }
  return [...all.values()].sort((a, b) => compareBytes(a.path, b.path));
}

/** By what tells one version of a file from another without reading it. */
function keyOf(what: string, files: readonly MachineFile[]): string {
  const parts = files.map(({ file, path, sizeBytes, modifiedMs }) => [file, path, sizeBytes, modifiedMs]);
  return createHash('sha256')
    .update(JSON.stringify([what, process.arch, texts, parts]))
    .digest('hex');
}
