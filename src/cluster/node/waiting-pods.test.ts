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

  test('a pod that asks for more than there is waits, and runs when it is deleted that has it', async () => {
    for (const { metadata } of (await node.client.list(PodKind, {})).items) await node.remove(metadata.name);
    const { cpu = '1' } = (await node.client.get(NodeKind, { name: 'local' }))?.status?.allocatable ?? {};
    const requests = { resources: { requests: { cpu } } };
    await node.run('has', web, requests);
    await node.ready('has');
    await node.run('wants', web, requests);
    const message = '0/1 nodes are available: 1 Insufficient cpu.';
    assert.ok((await node.events('wants', 'FailedScheduling')).includes(`FailedScheduling: ${message}`));
    const told = (await node.client.get(PodKind, { namespace: 'default', name: 'wants' }))?.status?.conditions;
    assert.deepEqual(
      told?.map(({ type, status, reason, message: said }) => [type, status, reason, said]),
      [['PodScheduled', 'False', 'Unschedulable', message]],
    );
    await node.run('named', web, requests, { nodeName: 'local' });
    const named = await node.until('named', 'rejected', (pod) => pod?.status?.phase === 'Failed');
    assert.equal(named.status?.reason, 'OutOfcpu');
    await node.run('small', web);
    await node.ready('small');
    await node.remove('has');
    await node.ready('wants');
    for (const name of ['small', 'named', 'wants']) await node.remove(name);
  });

  test('a cordoned node takes nothing until it is uncordoned; a gated pod waits for its gates', async () => {
    const cordon = async (unschedulable: boolean) => {
      const found = await node.client.get(NodeKind, { name: 'local' });
      assert.ok(found);
      await node.client.update(NodeKind, { ...found, spec: { ...found.spec, unschedulable } });
    };
    await cordon(true);
    // The agent hears of it soon: a pod that came before it is run.
    for (let i = 0, pod: Pod | undefined; pod === undefined; i++) {
      await node.run(`cordoned-${i}`, web);
      const seen = await node.until(`cordoned-${i}`, 'seen', (p) => p?.status?.conditions !== undefined);
      if (seen.spec.nodeName) await node.remove(`cordoned-${i}`);
      else pod = seen;
      if (!pod) continue;
      assert.match(pod.status?.conditions?.[0]?.message ?? '', /1 node\(s\) were unschedulable\.$/);
      await cordon(false);
      await node.ready(pod.metadata.name);
      await node.remove(pod.metadata.name);
    }
    await node.run('gated', web, {}, { schedulingGates: [{ name: 'example.com/wait' }] });
    const gated = await node.until('gated', 'told', (p) => p?.status?.conditions !== undefined);
    assert.equal(gated.status?.conditions?.[0]?.reason, 'SchedulingGated');
    const { schedulingGates: _, ...spec } = gated.spec;
    await node.client.update(PodKind, { ...gated, spec });
    await node.ready('gated');
    await node.run('foreign', web, {}, { schedulerName: 'another' });
    await node.remove('foreign');
  });
});
