/** The features' controllers and the gateway beside a real Kubernetes: all that they see of it is its API. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildImage } from '../../src/build/build-image.ts';
import { nodePack } from '../../src/build/packs/node/index.ts';
import { openBuildWorld } from '../../src/build/testing/world.ts';
import { Quarantine } from '../../src/lib/quarantine.ts';
import { urlOf } from '../../src/observe/listen.ts';
import { createLogger } from '../../src/observe/log.ts';
import { type Config, defaultConfig, portsBy } from '../../src/server/config.ts';
import { startControlPlane } from '../../src/server/control.ts';
import { features } from '../../src/server/features.ts';
import { start as startGateway } from '../../src/server/gateway.ts';
import { resolvePorts } from '../../src/server/ports.ts';
import type { Role } from '../../src/server/roles.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually } from '../kit/platform.ts';
import { bringUp, type RealCluster, whyNot } from './real-cluster.ts';

/** Their host is one that no registry serves: the images are on the node. */
const web = 'dev.local/web:1';
const built = 'dev.local/built:1';

describe('on a real Kubernetes', { skip: whyNot() ?? false }, () => {
  let cluster: RealCluster;
  let config: Config;
  let dataDir: string;
  const roles: Role[] = [];

  before(async () => {
    cluster = bringUp();
    await cluster.nameImage('localhost/web:1', web);
    dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-seam-'));
    mkdirSync(join(dataDir, 'run'));
    config = {
      ...defaultConfig(),
      dataDir,
      ports: await resolvePorts(portsBy(() => 0)),
      substrate: 'cluster',
      kubeconfig: cluster.kubeconfig,
    };
    const context = (name: string) => ({
      config,
      log: createLogger(name, 'warn'),
      quarantine: new Quarantine(),
      sockets: {},
      end: assert.fail,
    });
    roles.push(await startControlPlane(context('control'), features));
    roles.push(await startGateway(context('gateway')));
  });
  after(async () => {
    for (const role of roles.reverse()) await role.stop();
    cluster?.down();
    if (dataDir !== undefined) rmSync(dataDir, { recursive: true, force: true });
  });

  const k = (...args: string[]) => cluster.kubectl(['--namespace', 'default', ...args]);
  const fetched = (service: string) =>
    fetchThroughGateway({ addresses: { gatewayUrl: urlOf(config.ports.gateway, config.bindAddress) } }, service);
  const podsOf = async (service: string) =>
    (await k('get', 'pods', '--selector', `serving.knative.dev/service=${service}`, '--output', 'name'))
      .split('\n')
      .filter(Boolean);
  const apply = async (name: string, env: string, image = web) => {
    const annotations = { 'autoscaling.knative.dev/window': '6s' };
    const container = { image, ports: [{ containerPort: 8080 }], env: [{ name: 'VERSION', value: env }] };
    await cluster.kubectl(
      ['apply', '--filename', '-'],
      JSON.stringify({
        apiVersion: 'serving.knative.dev/v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec: { template: { metadata: { annotations }, spec: { containers: [container] } } },
      }),
    );
    await k('wait', '--for=condition=Ready', `services.serving.knative.dev/${name}`, '--timeout=60s');
  };

  test('a Service comes to Ready, and the gateway answers for it', async () => {
    await apply('web', 'one');
    const { status, body } = await fetched('web');
    assert.equal(status, 200);
    assert.match(body, /^web-00001-deployment-/, 'the image answers with the name of its pod');
    assert.match(await k('get', 'ksvc', 'web'), /web-00001 +web-00001 +True/);
  });

  test('a change makes a revision, which answers', async () => {
    await apply('web', 'two');
    assert.match((await fetched('web')).body, /^web-00002-deployment-/);
  });

  test('it goes to zero, and a request wakes it', async () => {
    await eventually('no pod is left', async () => (await podsOf('web')).length === 0 || undefined, 90_000);
    assert.equal((await fetched('web')).status, 200);
  });

  test('an image that is built here runs there, by what it holds', async () => {
    const world = await openBuildWorld();
    try {
      const context = world.context('built');
      mkdirSync(context.workDir, { recursive: true });
      const files = { 'index.js': 'exports.handle = () => "user " + process.getuid() + ", " + process.version;' };
      const { image } = await buildImage({ source: { files } }, [nodePack()], context);
      const onRegistry = image.replace('registry.localhost', new URL(world.registry.url).host);
      await cluster.pull(onRegistry);
      await cluster.nameImage(onRegistry, built);
    } finally {
      await world.stop();
    }
    await apply('built', 'one', built);
    assert.equal((await fetched('built')).body, `user 65532, ${process.version}`);
    await k('delete', 'services.serving.knative.dev', 'built');
  });

  test('what a Service owned goes with it', async () => {
    await k('delete', 'services.serving.knative.dev', 'web');
    const kinds = ['revisions', 'configurations', 'routes.serving.knative.dev', 'kingress', 'deployments', 'pods'];
    await eventually(
      'all of it is gone',
      async () => (await k('get', kinds.join(), '--output', 'name')) === '' || undefined,
    );
    assert.equal((await fetched('web')).status, 404);
  });
});
