import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EphemeralContainer } from '../../api/core/ephemeral-containers.ts';
import { type Pod, PodKind } from '../../api/core/pod.ts';
import { keyOf } from '../../api/meta.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { openTestNode, program, server, type TestNode } from './testing/test-node.ts';

describe('ephemeral containers', () => {
  let registry: TestRegistry;
  let node: TestNode;
  let image: string;
  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client);
    image = await registry.push([program(server)]);
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });

  const current = async (pod: Pod): Promise<Pod> => {
    const found = await node.client.get(PodKind, keyOf(pod));
    return found ?? assert.fail('it is gone');
  };
  const add = async (pod: Pod, container: EphemeralContainer): Promise<Pod> => {
    const { resourceVersion: _, ...metadata } = pod.metadata;
    const now = await current(pod);
    const ephemeralContainers = [...(now.spec.ephemeralContainers ?? []), container];
    const next = { ...now, metadata, spec: { ...now.spec, ephemeralContainers } };
    return node.client.update(PodKind, next, 'ephemeralcontainers' as 'status');
  };
  const stateOf = (pod: Pod | undefined, name: string) =>
    pod?.status?.ephemeralContainerStatuses?.find((status) => status.name === name);

  test('one that is added runs beside the others, and is found again by the next agent', async () => {
    const pod = await node.run('looked-into', image);
    await node.ready('looked-into');
    await add(pod, { name: 'look', image, command: ['sh', '-c', 'echo looking; sleep 1000'] });
    await node.until('looked-into', 'looked into', (now) => stateOf(now, 'look')?.state?.running !== undefined);
    await node.restartAgent({ stopPods: false });
    const found = await node.ready('looked-into');
    assert.equal(stateOf(found, 'look')?.restartCount, 0);
    assert.equal(stateOf(found, 'look')?.ready, false);
    assert.equal(found.status?.containerStatuses?.length, 1);
    const { signal } = new AbortController();
    const streams = await node.agent.podStreams.exec(
      found,
      { container: 'look', command: ['echo', 'here'], hasStdin: false, hasTerminal: false },
      signal,
    );
    assert.equal(Buffer.concat(await streams.stdout.toArray()).toString(), 'here\n');
    await node.remove('looked-into');
  });

  test('one that ends stays ended, and the pod goes on', async () => {
    const pod = await node.run('goes-on', image);
    await node.ready('goes-on');
    await add(pod, { name: 'brief', image, command: ['sh', '-c', 'exit 3'] });
    const ended = await node.until('goes-on', 'looked into', (now) => {
      return stateOf(now, 'brief')?.state?.terminated !== undefined;
    });
    assert.equal(stateOf(ended, 'brief')?.state?.terminated?.exitCode, 3);
    await node.restartAgent({ stopPods: false });
    await add(pod, { name: 'second', image, command: ['sh', '-c', 'exit 0'] });
    const both = await node.until('goes-on', 'looked into twice', (now) => {
      return stateOf(now, 'second')?.state?.terminated !== undefined;
    });
    assert.equal(stateOf(both, 'brief')?.restartCount, 0);
    assert.equal(both.status?.phase, 'Running');
    await node.remove('goes-on');
  });

  test('a write of the pod itself cannot change them', async () => {
    const pod = await node.run('as-it-is', image);
    await node.ready('as-it-is');
    const { resourceVersion: _, ...metadata } = pod.metadata;
    const now = await current(pod);
    const spec = { ...now.spec, ephemeralContainers: [{ name: 'x', image }] };
    await assert.rejects(node.client.update(PodKind, { ...now, metadata, spec }), /pod updates may not change fields/);
    await node.remove('as-it-is');
  });
});
