import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../../api/core/pod.ts';
import { runtimeLabel } from '../../../registry/labels.ts';
import type { Driver, Sandbox, SandboxRequest } from '../driver.ts';
import { driversByClass } from './by-class.ts';

const never = new AbortController().signal;
const ours = { [runtimeLabel]: 'node24' };
const lack = { what: 'containers need programs that are not here: runc', remedy: 'install them: apt-get install runc' };

/** A driver that remembers for which pods it was asked. */
function driver(name: string): Driver & { pods: Set<string>; closed: unknown[] } {
  const pods = new Set<string>();
  const closed: unknown[] = [];
  return {
    name,
    pods,
    closed,
    prepare: () => {},
    keepPrepared: async () => {},
    has: (uid) => pods.has(uid),
    async sandbox({ metadata: { uid = '' } }) {
      pods.add(uid);
      return { podUid: uid } as Sandbox;
    },
    recover: async () => [...pods].map((podUid) => ({ podUid }) as Sandbox),
    async close(options) {
      closed.push(options);
    },
  };
}

const pod = (uid: string, runtimeClassName?: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: uid, uid },
  spec: { containers: [{ name: 'c' }], ...(runtimeClassName === undefined ? {} : { runtimeClassName }) },
});

const request = (
  handler: string | undefined,
  labels: readonly (Readonly<Record<string, string>> | undefined)[],
): SandboxRequest => ({ handler: async () => handler, imageLabels: async () => labels });

test('a pod runs as its class says, or else as suits its images', async () => {
  const cases: [what: string, handler: string | undefined, labels: Parameters<typeof request>[1], as: string][] = [
    ['of our own images only', undefined, [ours, ours], 'process'],
    ['with a foreign image beside', undefined, [ours, {}], 'container'],
    ['of an image that is not known yet', undefined, [undefined], 'container'],
    ['that asks for a container', 'container', [ours], 'container'],
    ['that asks for processes', 'process', [{}], 'process'],
  ];
  for (const [what, handler, labels, as] of cases) {
    const [process, container] = [driver('process'), driver('container')];
    const both = driversByClass({ process, container });
    await both.sandbox(pod('a'), never, request(handler, labels));
    assert.deepEqual([process.has('a'), container.has('a')], [as === 'process', as === 'container'], what);
    assert.equal(both.has('a'), true);
  }
});

test('a pod that has a sandbox keeps its driver, also the one that an earlier agent chose', async () => {
  const [process, container] = [driver('process'), driver('container')];
  container.pods.add('a');
  const both = driversByClass({ process, container });
  assert.deepEqual(
    (await both.recover()).map(({ podUid }) => podUid),
    ['a'],
  );
  await both.sandbox(pod('a'), never, request(undefined, [ours]));
  assert.equal(process.has('a'), false);
});

test('without containers pods run as processes, and who asks for one is told what is missing', async () => {
  const process = driver('process');
  const only = driversByClass({ process, container: lack });
  assert.equal(only.name, 'process');
  await only.sandbox(pod('a'), never, request(undefined, [{}]));
  assert.equal(process.has('a'), true);
  const asking = only.sandbox(pod('b', 'container'), never);
  await assert.rejects(
    asking,
    /runtimeClassName container.*need programs that are not here: runc.*apt-get install runc/,
  );
  await assert.rejects(only.sandbox(pod('c', 'gvisor'), never), /no way to run pods called "gvisor"/);
  assert.deepEqual([only.has('b'), only.has('c')], [false, false]);
});

test('both drivers are told how they are closed', async () => {
  const [process, container] = [driver('process'), driver('container')];
  await driversByClass({ process, container }).close({ leavesNothing: true });
  assert.deepEqual([process.closed, container.closed], [[{ leavesNothing: true }], [{ leavesNothing: true }]]);
});
