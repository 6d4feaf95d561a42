/**
 * `containers`: pods as containers, against the OCI runtime alone. The image is one static program (busybox's httpd)
 * on a fixed port. Needs Linux, root, runc, ip, nft, busybox-static; wrk for the addresses of Services.
 *
 * - `container_p50_vs_runc`, `container_p99_vs_runc`: the first request to a service at zero, over `runc run` of the
 *   same program to its first byte, interleaved.
 * - `fifty_pods_ms`: from creating fifty pods to all of them running; `overhead_mb_per_pod`: what runs outside of
 *   them for each, as proportional set size.
 * - `exec_p50_ms`: a command in a running container, from the request to its first byte.
 * - `clusterip_overhead`: requests per second to a pod's address over those to its Service's, from another pod.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { PodKind } from '../../src/api/core/pod.ts';
import { CoreServiceKind } from '../../src/api/core/service.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { RegistryClient } from '../../src/registry/index.ts';
import { layerOfProgram, pushTestImage } from '../kit/images.ts';
import { eventually, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { execMs } from './containers/exec.ts';
import { firstAnswerMs } from './containers/first-answer.ts';
import { memoryOutsidePods } from './containers/memory.ts';
import { BareRuntime } from './containers/runc.ts';

const busybox = '/bin/busybox';
const image = 'registry.localhost/httpd:bench';
const port = 8080;
const wakes = 30;
/** How long a service has been at zero before it is woken. */
const quietMs = 1_000;
const services = Array.from({ length: 6 }, (_, at) => `bench-${at}`);
const namespace = 'default';
const command = ['/busybox', 'httpd', '-f', '-p'];

export async function run() {
  const missing = whyNot();
  if (missing !== undefined) return { figures: {}, table: [[`not measured: ${missing}`]] };
  const { dataDir, remove } = newDataDir();
  const platform = await startTestPlatform(dataDir);
  const bare = new BareRuntime({ program: busybox, command });
  try {
    await pushImage(platform);
    for (const name of services) await platform.client.create(ServiceKind, serviceOf(name));
    const woken = await measureWakes(platform, bare);
    const fifty = await measureFifty(platform);
    const exec = await measureExec(platform);
    const clusterIp = await measureClusterIp(platform);
    const figures = { ...woken.figures, ...fifty.figures, ...exec.figures, ...clusterIp.figures };
    return { figures, table: [['', 'p50', 'p99'], ...woken.table, ...fifty.table, ...exec.table, ...clusterIp.table] };
  } finally {
    bare.close();
    await platform.stop();
    remove();
  }
}

function whyNot(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'it needs root of Linux';
  const tool = ['runc', 'ip', 'nft'].find((name) => spawnSync(name, ['--version']).error);
  if (tool !== undefined) return `${tool} is not on PATH`;
  return existsSync(busybox) ? undefined : `there is no ${busybox} (apt-get install busybox-static)`;
}

async function pushImage({ addresses }: TestPlatform): Promise<void> {
  const registry = new RegistryClient({ mirrors: { 'registry.localhost': addresses.registryUrl } });
  await pushTestImage(registry, image, [layerOfProgram(busybox, 'busybox')], { Cmd: [...command, `${port}`] });
  registry.close();
}

const serviceOf = (name: string) => ({
  apiVersion: 'serving.knative.dev/v1' as const,
  kind: 'Service' as const,
  metadata: { name, namespace },
  spec: {
    template: {
      metadata: { annotations: { 'autoscaling.knative.dev/window': '6s' } },
      // Its grace, too: the first process of a container hears no SIGTERM that it has not asked for.
      spec: { timeoutSeconds: 1, containers: [{ name: '', image, ports: [{ containerPort: port }] }] },
    },
  },
});

const podOf = (name: string) => ({
  apiVersion: 'v1' as const,
  kind: 'Pod' as const,
  metadata: { name, namespace, labels: { app: name } },
  spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'main', image }] },
});

async function measureWakes(platform: TestPlatform, bare: BareRuntime) {
  const cold: number[] = [];
  const alone: number[] = [];
  const { hostname, port: gatewayPort } = new URL(platform.addresses.gatewayUrl);
  for (let wake = 0; wake < wakes; wake++) {
    const name = services[wake % services.length] ?? '';
    await atZero(platform, name);
    await new Promise((resolve) => setTimeout(resolve, quietMs));
    cold.push(await firstAnswerMs(hostname, Number(gatewayPort), `${name}.${namespace}.localhost`));
    alone.push(await bare.firstAnswerMs());
  }
  const over = (q: number) => quantile(cold, q) / quantile(alone, q);
  return {
    figures: {
      container_p50_vs_runc: over(0.5),
      container_p99_vs_runc: over(0.99),
      container_p50_ms: quantile(cold, 0.5),
      runc_p50_ms: quantile(alone, 0.5),
    },
    table: [row('first request from zero', cold), row('runc run, to its first byte', alone)],
  };
}

async function atZero({ client }: TestPlatform, name: string): Promise<void> {
  await eventually(
    `${name} at zero`,
    async () => {
      const service = await client.get(ServiceKind, { namespace, name });
      const isReady = service?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
      const labelSelector = `serving.knative.dev/service=${name}`;
      const { items } = await client.list(PodKind, { namespace, labelSelector });
      return isReady && items.length === 0 ? true : undefined;
    },
    90_000,
  );
}

async function measureFifty(platform: TestPlatform) {
  const names = Array.from({ length: 50 }, (_, at) => `fifty-${at}`);
  const before = memoryOutsidePods(platform.dataDir);
  const begunMs = performance.now();
  await Promise.all(names.map((name) => platform.client.create(PodKind, podOf(name))));
  await eventually(
    'fifty pods run',
    async () => {
      const { items } = await platform.client.list(PodKind, { namespace });
      const running = items.filter(
        ({ metadata, status }) => names.includes(metadata.name) && status?.phase === 'Running',
      );
      return running.length === names.length ? true : undefined;
    },
    180_000,
  );
  const tookMs = performance.now() - begunMs;
  const overheadMb = (memoryOutsidePods(platform.dataDir) - before) / names.length / 1024;
  await Promise.all(names.map((name) => platform.client.delete(PodKind, { namespace, name })));
  return {
    figures: { fifty_pods_ms: tookMs, overhead_mb_per_pod: overheadMb },
    table: [[`fifty pods run after ${tookMs.toFixed(0)} ms, ${overheadMb.toFixed(2)} MB beside each`]],
  };
}

async function running({ client }: TestPlatform, name: string): Promise<string> {
  return eventually(`${name} runs`, async () => {
    const pod = await client.get(PodKind, { namespace, name });
    return pod?.status?.phase === 'Running' ? pod.status.podIP : undefined;
  });
}

async function measureExec(platform: TestPlatform) {
  await platform.client.create(PodKind, podOf('exec'));
  await running(platform, 'exec');
  const times: number[] = [];
  for (let at = 0; at < 30; at++) times.push(await execMs(platform, 'exec', ['/busybox', 'echo', 'hello']));
  return { figures: { exec_p50_ms: quantile(times, 0.5) }, table: [row('exec, to its first byte', times)] };
}

async function measureClusterIp(platform: TestPlatform) {
  const wrk = spawnSync('wrk', ['-v']).error ? undefined : 'wrk';
  if (wrk === undefined) return { figures: {}, table: [['addresses of Services: not measured, wrk is missing']] };
  const { client, dataDir } = platform;
  // One pod asks by either address: the kernel keeps each connection's ports for a while after its end, and would have
  // to find others for those of the same client that come to the same end by another address.
  const askers = ['asking', 'asking-service'] as const;
  for (const name of ['served', ...askers]) await client.create(PodKind, podOf(name));
  const podIp = await running(platform, 'served');
  for (const name of askers) await running(platform, name);
  const service = await client.create(CoreServiceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'served', namespace },
    spec: { selector: { app: 'served' }, ports: [{ port: 80, targetPort: port }] },
  });
  const networks = await Promise.all(
    askers.map(async (name) => {
      const uid = (await client.get(PodKind, { namespace, name }))?.metadata.uid;
      return `${dataDir}/node/containers/namespaces/${uid}.network`;
    }),
  );
  const urls = [`http://${podIp}:${port}/`, `http://${service.spec.clusterIP}/`];
  const rps = (way: number) => {
    const args = [`--net=${networks[way]}`, wrk, '-t1', '-c8', '-d2s', urls[way] ?? ''];
    return Number(/Requests\/sec:\s+([\d.]+)/.exec(String(spawnSync('nsenter', args).stdout))?.[1]);
  };
  await eventually('the Service answers', async () => (rps(1) > 0 ? true : undefined));
  const ratios = Array.from({ length: 5 }, () => rps(0) / rps(1));
  const median = quantile(ratios, 0.5);
  return {
    figures: { clusterip_overhead: median },
    table: [['pod address / Service address, requests/s', median.toFixed(2)]],
  };
}

const row = (name: string, values: number[]) => [
  name,
  ...[0.5, 0.99].map((q) => `${quantile(values, q).toFixed(1)} ms`),
];

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
