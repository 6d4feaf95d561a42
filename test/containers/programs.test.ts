/** Foreign programs, unmodified, as containers of the platform that a user starts. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { BuildKind } from '../../src/api/build/build.ts';
import { PodKind } from '../../src/api/core/pod.ts';
import { apiVersionOf } from '../../src/api/kind.ts';
import { RegistryClient } from '../../src/registry/index.ts';
import { layerOfProgram, pushTestImage } from '../kit/images.ts';
import { eventually, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { pushDebian, whyNoDebian } from './debian.ts';
import { debian, podOf } from './pods.ts';
import { type Program, programs, until } from './programs.ts';

const kubectl = process.env.KUBECTL ?? 'kubectl';

function whyNot(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'containers are run by root of Linux here';
  for (const tool of ['runc', 'ip', 'nft']) {
    if (spawnSync(tool, ['--version']).error) return `${tool} is not on PATH`;
  }
  if (spawnSync(kubectl, ['version', '--client']).error) return 'kubectl is not on PATH, nor named by $KUBECTL';
  return whyNoDebian();
}

describe('programs as containers', { skip: whyNot() ?? false, timeout: 900_000 }, () => {
  const { dataDir, remove } = newDataDir();
  let platform: TestPlatform;

  before(async () => {
    platform = await startTestPlatform(dataDir);
    const registry = new RegistryClient({ mirrors: { 'registry.localhost': platform.addresses.registryUrl } });
    await pushDebian(registry, debian);
    await pushTestImage(registry, 'registry.localhost/static:test', [layerOfProgram('/bin/busybox', 'busybox')], {});
    registry.close();
  });
  after(async () => {
    await platform?.stop();
    remove();
  });

  const k = (...args: string[]) => {
    const { stdout, stderr } = spawnSync(kubectl, ['--kubeconfig', platform.addresses.kubeconfig, ...args]);
    return `${stdout}${stderr}`;
  };

  /** Runs it to its end, which must be a success; says all that there is to say when it is not. */
  async function succeeds(name: string, program: Program): Promise<void> {
    await platform.client.create(PodKind, podOf(name, program));
    const ended = await eventually(
      'it ends',
      async () => {
        const pod = await platform.client.get(PodKind, { namespace: 'default', name });
        return ['Succeeded', 'Failed'].includes(pod?.status?.phase ?? '') ? pod : undefined;
      },
      120_000,
    ).catch((error) => error.message);
    const phase = ended?.status?.phase ?? ended;
    const why = () => `${k('describe', 'pod', name)}\n${k('logs', name, '--all-containers', '--tail=20')}`;
    assert.equal(phase, 'Succeeded', phase === 'Succeeded' ? '' : why());
    if (program.logs !== undefined) assert.equal(k('logs', name), program.logs);
    await platform.client.delete(PodKind, { namespace: 'default', name });
  }

  for (const [at, [title, program]] of Object.entries(programs).entries()) {
    test(title, () => succeeds(`program-${at}`, program));
  }

  test('an app that is built here, on the base and the runtime in its image', async () => {
    const files = { 'index.js': 'exports.handle = () => "user " + process.getuid();' };
    const metadata = { namespace: 'default', name: 'built' };
    await platform.client.create(BuildKind, {
      apiVersion: apiVersionOf(BuildKind),
      kind: 'Build',
      metadata,
      spec: { source: { files } },
    });
    const image = await eventually('it is built', async () => {
      return (await platform.client.get(BuildKind, metadata))?.status?.output?.image;
    });
    const server = { name: 'app', image, env: [{ name: 'PORT', value: '8080' }] };
    const check = until('test "$(curl -fsS http://127.0.0.1:8080/)" = "user 65532"');
    await succeeds('built', { beside: [server], check, pod: { runtimeClassName: 'container' } });
  });
});
