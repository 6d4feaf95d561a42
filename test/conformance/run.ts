/**
 * `npm run conformance -- SUITE [FLAG…]`: Knative's own conformance suites, unmodified, against a platform of their
 * own. Further flags are the suite's (`-test.run TestName`). Needs Linux and Go; what is built is kept in
 * $KITTIWAKE_CONFORMANCE (by default in the user's cache folder).
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RegistryClient } from '../../src/registry/index.ts';
import { portDefinitions } from '../../src/server/config.ts';
import { layerOfProgram, nonrootBase, nonrootConfig, pushTestImage } from '../kit/images.ts';
import { kittiwake, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { testBinary, testPrograms } from './go-programs.ts';
import { summaryOf } from './summary.ts';

interface Suite {
  /** The package of the tests, below `knative.dev/`. */
  path: string;
  /** The module whose programs are its images. */
  images: string;
  flags: readonly string[];
}

const suites: Record<string, Suite> = {
  runtime: { path: 'serving/test/conformance/runtime', images: 'serving', flags: ['--disable-logstream'] },
  api: { path: 'serving/test/conformance/api/v1', images: 'serving', flags: ['--disable-logstream'] },
  beta: { path: 'serving/test/conformance/api/v1beta1', images: 'serving', flags: ['--disable-logstream'] },
};

/** Within the range of node ports. */
const nodePort = 31_980;
const ports = Object.values(portDefinitions).flatMap(({ flag }) => [
  flag,
  flag === '--gateway-port' ? `${nodePort}` : '0',
]);

const [name = '', ...more] = process.argv.slice(2);
const suite = suites[name];
const problem = whyNot();
if (!suite || problem !== undefined) {
  console.error(suite ? problem : `there is no suite "${name}": choose from ${Object.keys(suites).join(', ')}`);
  process.exit(2);
}
process.exit((await runSuite(suite)) ? 0 : 1);

function whyNot(): string | undefined {
  if (process.platform !== 'linux') return `the suites' images are for Linux, and this is ${process.platform}`;
  if (spawnSync('go', ['version']).status !== 0) return 'the suites are built by Go, which is not on PATH';
  return undefined;
}

async function runSuite({ path, images, flags }: Suite): Promise<boolean> {
  console.log(`building the suite ${path} and its images, where that was not done …`);
  const binary = await testBinary(path);
  const programs = await testPrograms(images);
  const { dataDir, remove } = newDataDir();
  // A node port, which is what the suites ask the gateway's Service for.
  const platform = await startTestPlatform(dataDir, ports);
  try {
    await pushImages(programs, platform);
    await prepare(platform);
    const args = ['--kubeconfig', platform.addresses.kubeconfig, '--dockerrepo', 'registry.localhost'];
    const wanted = [...args, '--ingressendpoint', '127.0.0.1', '--enable-beta', ...flags];
    return await run(binary, [...wanted, '-test.v', '-test.parallel', '4', '-test.timeout', '40m', ...more]);
  } finally {
    await platform.stop();
    remove();
  }
}

async function pushImages(programs: string, { addresses }: TestPlatform): Promise<void> {
  const registry = new RegistryClient({ mirrors: { 'registry.localhost': addresses.registryUrl } });
  const base = nonrootBase();
  for (const program of readdirSync(programs)) {
    const path = `/ko-app/${program}`;
    const layers = [base, layerOfProgram(join(programs, program), path)];
    const config = { ...nonrootConfig, Entrypoint: [path] };
    await pushTestImage(registry, `registry.localhost/${program}:latest`, layers, config);
  }
  registry.close();
}

/** What Knative's own test resources give its suites, and the Service by which they find the gateway. */
async function prepare({ dataDir }: TestPlatform): Promise<void> {
  const namespaces = ['serving-tests', 'serving-tests-alt', 'tls', 'knative-serving', 'conformance'];
  const metadata = { namespace: 'serving-tests' };
  const gateway = { name: 'gateway', namespace: 'conformance' };
  const objects = [
    ...namespaces.map((each) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: each } })),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...metadata, name: 'conformance-test-configmap' },
      data: { testKey: 'testValue' },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { ...metadata, name: 'conformance-test-secret' },
      data: { testKey: Buffer.from('testValue').toString('base64') },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: gateway,
      spec: { type: 'NodePort', ports: [{ port: 80, nodePort }] },
    },
  ];
  const file = join(dataDir, 'conformance.yaml');
  writeFileSync(file, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  const { code, stdout, stderr } = await kittiwake(dataDir, 'apply', '-f', file);
  if (code !== 0) throw new Error(`the suite's objects could not be applied: ${stdout}${stderr}`);
}

/** Shows what the suite prints of its tests' ends, and all of those that failed; says the sum in one line. */
function run(binary: string, args: readonly string[]): Promise<boolean> {
  const env = {
    ...process.env,
    SYSTEM_NAMESPACE: 'knative-serving',
    GATEWAY_NAMESPACE_OVERRIDE: 'conformance',
    GATEWAY_OVERRIDE: 'gateway',
  };
  return new Promise((resolve) => {
    const child = spawn(binary, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const printed: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => printed.push(chunk));
    child.once('close', (code) => {
      const { text, line, failed } = summaryOf(Buffer.concat(printed).toString());
      console.log(`${text}\n${line}`);
      resolve(code === 0 && failed === 0);
    });
  });
}
