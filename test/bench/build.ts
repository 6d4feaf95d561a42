/** Change one line of an app and deploy it, dependencies unchanged: from the source to a digest in the registry. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BuildKind } from '../../src/api/build/build.ts';
import { buildControllers } from '../../src/build/controller.ts';
import { uploadFolder } from '../../src/build/source/artifact.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { RegistryClient } from '../../src/registry/index.ts';
import { startRegistry } from '../../src/registry/server/registry.ts';
import { openWorld, type World } from '../world.ts';

/** As the platform has it, whose own start has filled it. */
process.env.NODE_COMPILE_CACHE ??= join(homedir(), '.cache/kittiwake/compile');
const example = fileURLToPath(new URL('../../examples/orders/orders', import.meta.url));
const changes = 11;

/**
 * Figures: `warm_ms`, the median over the changes, from the folder to the Build's Succeeded; `cold_ms`, the first
 * one.
 */
export async function run(): Promise<{ figures: Record<string, number>; table: string[][] }> {
  const dir = await mkdtemp(join(tmpdir(), 'kittiwake-bench-build-'));
  const log = silentLogger;
  const clock = systemClock;
  const distribution = await startRegistry({ dir: join(dir, 'registry'), port: 0, clock, log });
  const mirrors = { 'registry.localhost': distribution.url };
  const registry = new RegistryClient({ mirrors });
  const world = await openWorld({
    controllers: buildControllers({ mirrors, dataDir: join(dir, 'build'), clock, log }),
  });
  try {
    const { folder, file, name } = await makeApp(join(dir, 'app'));
    const cold = await deploy(folder, 'bench-0', registry, world);
    const warm: Deployed[] = [];
    for (let i = 1; i <= changes; i++) {
      await appendFile(file, `// change ${i}\n`);
      const deployed = await deploy(folder, `bench-${i}`, registry, world);
      if (deployed.digest === (warm.at(-1) ?? cold).digest) throw new Error('a change gave the same digest');
      warm.push(deployed);
    }
    const upload = median(warm.map(({ uploadMs }) => uploadMs));
    const build = median(warm.map(({ buildMs }) => buildMs));
    const total = median(warm.map(({ uploadMs, buildMs }) => uploadMs + buildMs));
    const slowest = Math.max(...warm.map(({ uploadMs, buildMs }) => uploadMs + buildMs));
    const coldMs = cold.uploadMs + cold.buildMs;
    return {
      figures: { warm_ms: round(total), warm_max_ms: round(slowest), cold_ms: round(coldMs) },
      table: [
        [name, 'upload ms', 'build ms', 'source → digest ms'],
        ['cold (npm ci, nothing cached)', ...[cold.uploadMs, cold.buildMs, coldMs].map(text)],
        [`one line changed (median of ${changes})`, ...[upload, build, total].map(text)],
        ['one line changed (slowest)', '', '', text(slowest)],
      ],
    };
  } finally {
    await world.stop();
    registry.close();
    await distribution.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

interface Deployed {
  uploadMs: number;
  buildMs: number;
  digest: string;
}

/**
 * What `kittiwake deploy` does up to the image: uploads the folder, and a Build by the real controller through the
 * API.
 */
async function deploy(folder: string, name: string, registry: RegistryClient, world: World): Promise<Deployed> {
  const startedMs = performance.now();
  const { image } = await uploadFolder({ folder, reference: 'registry.localhost/default/bench-source', registry });
  const uploadedMs = performance.now();
  // One owner, as a Service's Builds have: they share a repository.
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'bench', uid: 'bench', controller: true };
  const metadata = { name, namespace: 'default', ownerReferences: [owner] };
  const spec = { source: { ociArtifact: { image } } };
  await world.client.create(BuildKind, { apiVersion: 'build.knative.dev/v1alpha1', kind: 'Build', metadata, spec });
  const isOver = (b?: { status?: { completionTime?: string } }) => b?.status?.completionTime;
  // Installing may take longer than `until` waits: an absent result is asked for again.
  for (let attempt = 0; ; attempt++) {
    const build = await world.until(BuildKind, { namespace: 'default', name }, isOver).catch((error) => {
      if (attempt === 30) throw error;
    });
    if (!build) continue;
    const { output, log } = build.status ?? {};
    if (!output) throw new Error(`the build failed: ${log}`);
    return { uploadMs: uploadedMs - startedMs, buildMs: performance.now() - uploadedMs, digest: output.digest };
  }
}

/** A copy of the example, or, without it, an app with a few real dependencies. */
async function makeApp(folder: string): Promise<{ folder: string; file: string; name: string }> {
  if (existsSync(join(example, 'package-lock.json'))) {
    await cp(example, folder, { recursive: true, filter: (path) => !path.endsWith('node_modules') });
    const { main = 'index.ts' } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { main?: string };
    return { folder, file: join(folder, main), name: 'examples/orders/orders' };
  }
  await mkdir(folder);
  const packageJson = { name: 'bench', type: 'module', dependencies: { fastify: '5.6.1', zod: '4.1.12' } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(packageJson));
  await writeFile(
    join(folder, 'index.ts'),
    "import Fastify from 'fastify';\nexport const handle = () => Fastify.name;\n",
  );
  execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts', '--silent'], {
    cwd: folder,
    stdio: 'ignore',
  });
  return { folder, file: join(folder, 'index.ts'), name: 'fastify and zod' };
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const round = (ms: number) => Math.round(ms * 10) / 10;
const text = (ms: number) => ms.toFixed(1);
