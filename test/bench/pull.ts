/** Pull and unpack an image of 500 MiB from a registry on this machine: ours, and containerd's of the same image. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { Files } from '../../src/cluster/node/images/files.ts';
import { removeTree } from '../../src/cluster/node/images/remove-tree.ts';
import { ImageStore } from '../../src/cluster/node/images/store.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { digestOf, mediaTypes, RegistryClient } from '../../src/registry/index.ts';

const imageMib = 500;
const layerCount = 5;
const runs = 3;
const patienceMs = 20_000;

/** Figures: `pull_vs_containerd`, median against median; `pull_ms` and `containerd_ms`, these medians. */
export async function run(): Promise<{ figures: Record<string, number>; table: string[][] }> {
  const dir = await mkdtemp(join(tmpdir(), 'kittiwake-bench-pull-'));
  const child = fileURLToPath(new URL('./pull.child.ts', import.meta.url));
  const registry = spawn(process.execPath, [child, join(dir, 'registry')], { stdio: ['ignore', 'pipe', 'inherit'] });
  let containerd: ChildProcess | undefined;
  const client = new RegistryClient();
  try {
    const [port] = await once(registry.stdout, 'data');
    const host = `127.0.0.1:${String(port).trim()}`;
    const digest = await pushImage(client, `${host}/bench/large:v1`, dir);
    containerd = await startContainerd(dir);
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < runs; i++) {
      ours.push(await pullOurs(client, `${host}/bench/large@${digest}`, join(dir, 'store')));
      theirs.push(await pullTheirs(dir, `${host}/bench/large:v1`));
    }
    return {
      figures: {
        pull_vs_containerd: median(ours) / median(theirs),
        pull_ms: median(ours),
        containerd_ms: median(theirs),
      },
      table: [
        [`${imageMib} MiB in ${layerCount} layers, to the unpacked tree`, 'median ms', 'all ms'],
        ['ours', text(median(ours)), ours.map(text).join(' ')],
        ['containerd (ctr images pull, overlayfs)', text(median(theirs)), theirs.map(text).join(' ')],
      ],
    };
  } finally {
    client.close();
    for (const process of [registry, containerd]) {
      if (!process || process.exitCode !== null) continue;
      process.kill('SIGTERM');
      await once(process, 'exit');
    }
    removeTree(dir);
  }
}

async function pullOurs(client: RegistryClient, reference: string, dir: string): Promise<number> {
  settle();
  const files = new Files(systemClock);
  const begunMs = performance.now();
  const store = await ImageStore.open({ dir, source: client, files, clock: systemClock, log: silentLogger });
  await store.pull(reference);
  const tookMs = performance.now() - begunMs;
  await files.close();
  await rm(dir, { recursive: true });
  return tookMs;
}

async function pullTheirs(dir: string, reference: string): Promise<number> {
  settle();
  const ctr = (...args: string[]) => promisify(execFile)('ctr', ['--address', socketIn(dir), ...args]);
  const begunMs = performance.now();
  await ctr('images', 'pull', '--plain-http', '--snapshotter', 'overlayfs', reference);
  const tookMs = performance.now() - begunMs;
  await ctr('images', 'rm', '--sync', reference);
  return tookMs;
}

/** What earlier runs have yet to write is not the next one's to wait for. */
const settle = () => execFileSync('sync');

const socketIn = (dir: string) => join(dir, 'containerd.sock');

/** One of its own: what the machine's containerd has stays as it is. */
async function startContainerd(dir: string): Promise<ChildProcess> {
  const config = join(dir, 'containerd.toml');
  const disabled = ['io.containerd.grpc.v1.cri', 'io.containerd.snapshotter.v1.btrfs'];
  await writeFile(
    config,
    `version = 2\nroot = "${join(dir, 'containerd')}"\nstate = "${join(dir, 'containerd-state')}"\n` +
      `disabled_plugins = ${JSON.stringify(disabled)}\n[grpc]\n  address = "${socketIn(dir)}"\n` +
      `[ttrpc]\n  address = "${socketIn(dir)}.ttrpc"\n`,
  );
  const started = spawn('containerd', ['--config', config], { stdio: 'ignore' });
  for (let waitedMs = 0; !existsSync(socketIn(dir)); waitedMs += 50) {
    if (waitedMs > patienceMs || started.exitCode !== null) throw new Error('containerd did not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return started;
}

/** Of what a Debian has under /usr: programs, libraries and many small files, in layers of like size. */
async function pushImage(client: RegistryClient, reference: string, dir: string): Promise<string> {
  const list = execFileSync(
    'find',
    ['/usr/lib', '/usr/bin', '/usr/share', '-xdev', '-type', 'f', '-printf', '%s %p\\n'],
    {
      maxBuffer: 1e9,
    },
  );
  const layers: string[][] = [[]];
  const layerBytes = (imageMib * 2 ** 20) / layerCount;
  let bytes = 0;
  for (const line of list.toString().split('\n').sort(byName)) {
    const size = Number(line.slice(0, line.indexOf(' ')));
    if (line === '' || size > layerBytes / 4) continue;
    layers.at(-1)?.push(line.slice(line.indexOf(' ') + 1));
    bytes += size;
    if (bytes < layerBytes) continue;
    if (layers.length === layerCount) break;
    layers.push([]);
    bytes = 0;
  }
  await mkdir(join(dir, 'layers'));
  const blobs = [];
  const diffIds: string[] = [];
  for (const [index, files] of layers.entries()) {
    const path = join(dir, 'layers', String(index));
    await writeFile(`${path}.list`, files.join('\n'));
    execFileSync('tar', ['-C', '/', '--no-recursion', '-cf', `${path}.tar`, '-T', `${path}.list`], { stdio: 'ignore' });
    execFileSync('gzip', ['-4', `${path}.tar`]);
    const content = await readFile(`${path}.tar.gz`);
    diffIds.push(digestOf(gunzipSync(content)));
    blobs.push({
      descriptor: { mediaType: mediaTypes.layerGzip, digest: digestOf(content), size: content.length },
      content,
    });
  }
  await rm(join(dir, 'layers'), { recursive: true });
  const config = Buffer.from(
    JSON.stringify({ os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }),
  );
  const descriptor = { mediaType: mediaTypes.config, digest: digestOf(config), size: config.length };
  const manifest = {
    ...{ schemaVersion: 2 as const, mediaType: mediaTypes.manifest, config: descriptor },
    layers: blobs.map((blob) => blob.descriptor),
  };
  return client.push(reference, { manifest, blobs: [{ descriptor, content: config }, ...blobs] });
}

/** In an order that mixes large and small ones, the same on each machine with these packages. */
const byName = (a: string, b: string) => (digestOf(a) < digestOf(b) ? -1 : 1);

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const text = (ms: number) => ms.toFixed(0);
