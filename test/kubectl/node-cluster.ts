/** An API server of this process with a node that runs pods, for the real kubectl. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { openApiServer } from '../../src/cluster/apiserver/index.ts';
import { NetworkOfPods, planNetwork } from '../../src/cluster/network/index.ts';
import { chooseDriver, type NodeAgent, startNodeAgent } from '../../src/cluster/node/index.ts';
import { openTestRegistry, type TestLayer, type TestRegistry } from '../../src/cluster/node/testing/test-images.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { digestOf, mediaTypes } from '../../src/registry/index.ts';
import { isKubectlThere, kubectlProgram } from './cluster.ts';

export interface NodeCluster {
  /** An image of programs that run as processes of the host, with this layer. */
  push(layer: TestLayer): Promise<string>;
  /** An image of busybox's programs, by their names; undefined where the machine has no static busybox. */
  pushBusybox(): Promise<string | undefined>;
  /** How kubectl is run, with an empty folder of this name. */
  kubectl(name: string): { kubectl: string; environment: NodeJS.ProcessEnv; dir: string };
}

/** One for the tests of a file. With `hasContainers` pods run in containers, in a network that it makes. */
export function openNodeCluster({ hasContainers = false } = {}): NodeCluster {
  let dir: string;
  let kubeconfig: string;
  let registry: TestRegistry;
  let stop = async () => {};
  before(async () => {
    if (!isKubectlThere) return;
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-kubectl-'));
    let node: NodeAgent;
    const api = await openApiServer({
      dataDir: dir,
      clock: systemClock,
      log: silentLogger,
      kinds: [],
      podLogs: { read: (...asked) => node.podLogs.read(...asked) },
      podStreams: {
        exec: (...asked) => node.podStreams.exec(...asked),
        attach: (...asked) => node.podStreams.attach(...asked),
        forward: (...asked) => node.podStreams.forward(...asked),
      },
      usage: { read: () => node.usage.read() },
    });
    ({ kubeconfigPath: kubeconfig } = await api.listen({ port: 0 }));
    registry = await openTestRegistry();
    const dataDir = join(dir, 'node');
    mkdirSync(dataDir);
    const shared = { clock: systemClock, log: silentLogger, dataDir, address: '127.0.0.1' };
    const claims = { dataDir, claimsDir: join(dataDir, 'claims') };
    const network = hasContainers ? new NetworkOfPods(planNetwork(claims), silentLogger) : undefined;
    const driver = chooseDriver().open({ ...shared, ...(network && { network }) });
    node = await startNodeAgent({
      ...shared,
      client: api.client,
      nodeName: 'local',
      driver,
      registry: registry.client,
    });
    stop = async () => {
      await node.stop({ stopPods: true });
      await api.stop();
      await registry.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    };
  });
  after(() => stop());
  return {
    push: (layer) => registry.push([layer], { Entrypoint: [] }),
    pushBusybox: () => pushBusybox(registry, mkdtempSync(join(dir, 'busybox-'))),
    kubectl(name) {
      const own = join(dir, name);
      mkdirSync(own, { recursive: true });
      const environment = { ...process.env, KUBECONFIG: kubeconfig, HOME: own };
      return { kubectl: kubectlProgram, environment, dir: own };
    },
  };
}

async function pushBusybox({ client }: TestRegistry, dir: string): Promise<string | undefined> {
  const which = spawnSync('sh', ['-c', 'command -v busybox && busybox --list'], { encoding: 'utf8' });
  const [path = '', ...names] = which.stdout.trim().split('\n');
  if (which.status !== 0 || spawnSync('ldd', [path]).status === 0) return undefined;
  mkdirSync(join(dir, 'bin'), { recursive: true });
  mkdirSync(join(dir, 'tmp'), { mode: 0o777 });
  copyFileSync(path, join(dir, 'bin/busybox'));
  for (const name of names) if (name !== 'busybox') symlinkSync('busybox', join(dir, 'bin', name));
  const layer = execFileSync('tar', ['--owner=0', '--group=0', '-C', dir, '-cz', '.'], { maxBuffer: 2 ** 26 });
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(gunzipSync(layer))] },
    }),
  );
  const blob = (content: Buffer, mediaType: string) => ({
    descriptor: { mediaType, digest: digestOf(content), size: content.length },
    content,
  });
  const blobs = [blob(config, mediaTypes.config), blob(layer, mediaTypes.layerGzip)] as const;
  const [first, second] = [blobs[0].descriptor, blobs[1].descriptor];
  const manifest = { schemaVersion: 2 as const, mediaType: mediaTypes.manifest, config: first, layers: [second] };
  const digest = await client.push('registry.localhost/test/busybox:1', { manifest, blobs: [...blobs] });
  return `registry.localhost/test/busybox@${digest}`;
}
