import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { NodeKind } from '../../api/core/node.ts';
import { type Pod, PodKind } from '../../api/core/pod.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { openTestNode, program, server, type TestNode } from './testing/test-node.ts';

const tooMany = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(
    ({ type, status, message }) => type === 'PodScheduled' && status === 'False' && /Too many pods/.test(message ?? ''),
  ) ?? false;

describe('a node that runs two pods at once', () => {
  let registry: TestRegistry;
  let node: TestNode;
  let web: string;
  let short: string;

  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client, { podsMax: 2 });
    web = await registry.push([program(server)]);
    short = await registry.push([program('setTimeout(() => {}, 1)')]);
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });

  test('says so, lets the third wait, tells it why, and runs it when there is room', async () => {
    assert.equal((await node.client.get(NodeKind, { name: 'local' }))?.status?.capacity?.pods, '2');
    await node.run('first', web);
    await node.run('second', web);
    await Promise.all([node.ready('first'), node.ready('second')]);
    await node.run('third', web);
    await node.run('never', web);
    const waiting = await node.until('third', 'told', tooMany);
    assert.equal(waiting.status?.phase, 'Pending');
    assert.equal(waiting.spec.nodeName ?? '', '');
    await node.until('never', 'told', tooMany);
    await node.client.delete(PodKind, { namespace: 'default', name: 'never' });
    await node.remove('first');
    const ready = await node.ready('third');
    assert.equal(tooMany(ready), false);
    await node.remove('third');
  });

  test('counts no pod that has ended', async () => {
    await node.run('ended', short, {}, { restartPolicy: 'Never' });
    await node.until('ended', 'over', (pod) => pod?.status?.phase === 'Succeeded');
    await node.run('next', web);
    await node.ready('next');
    await node.run('late', short, {}, { restartPolicy: 'Never' });
    await node.until('late', 'told', tooMany);
    await node.remove('second');
    await node.until('late', 'over', (pod) => pod?.status?.phase === 'Succeeded');
  });
});
