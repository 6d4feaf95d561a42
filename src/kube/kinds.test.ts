import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokerKind } from '../api/eventing/broker.ts';
import { type Kind, referenceTo } from '../api/kind.ts';
import { OctopusKind } from '../cluster/apiserver/testing/octopodes.ts';
import { kindFinder } from './kinds.ts';

describe('the kind that a reference names', () => {
  const octopus = referenceTo({ apiVersion: 'sea.example.dev/v1', kind: 'Octopus' });

  /** A server that has `served`, and counts how often it is asked for it. */
  function finder(served: Kind[] = []) {
    const world = { served, asked: 0, nowMs: 0, failure: undefined as Error | undefined };
    const find = kindFinder(
      async () => {
        world.asked++;
        if (world.failure) throw world.failure;
        return [...world.served];
      },
      () => world.nowMs,
    );
    return { world, find };
  }

  test('is known by heart where it is ours, or of Kubernetes', async () => {
    const { world, find } = finder();
    assert.equal(await find(referenceTo({ apiVersion: 'eventing.knative.dev/v1', kind: 'Broker' })), BrokerKind);
    assert.equal((await find(referenceTo({ apiVersion: 'v1', kind: 'Service' })))?.plural, 'services');
    assert.equal((await find({ group: 'eventing.knative.dev', kind: 'Broker' }))?.version, 'v1');
    assert.equal(world.asked, 0);
  });

  test('is asked of the server otherwise, once for all who ask', async () => {
    const { world, find } = finder([OctopusKind as Kind]);
    const found = await Promise.all([find(octopus), find(octopus), find({ group: octopus.group, kind: 'Octopus' })]);
    assert.deepEqual(new Set(found.map((kind) => kind?.plural)), new Set(['octopodes']));
    assert.equal(world.asked, 1);
    assert.equal(await find({ ...octopus, version: 'v2' }), undefined, 'of another version it is another kind');
    assert.equal(await find({ ...octopus, group: 'land.example.dev' }), undefined);
  });

  test('is asked for again when it was not there, but not more than once a second', async () => {
    const { world, find } = finder();
    for (let i = 0; i < 10; i++) assert.equal(await find(octopus), undefined);
    assert.equal(world.asked, 1);
    world.served.push(OctopusKind as Kind);
    world.nowMs = 999;
    assert.equal(await find(octopus), undefined);
    world.nowMs = 1_000;
    assert.equal((await find(octopus))?.plural, 'octopodes');
    assert.equal(world.asked, 2);
  });

  test('is asked for again after a minute, as it may have been defined anew', async () => {
    const { world, find } = finder([OctopusKind as Kind]);
    await find(octopus);
    world.served = [{ ...(OctopusKind as Kind), plural: 'octopi' }];
    world.nowMs = 59_999;
    assert.equal((await find(octopus))?.plural, 'octopodes');
    world.nowMs = 60_000;
    assert.equal((await find(octopus))?.plural, 'octopi');
  });

  test('is told once the server answers: a failure is that of who asked', async () => {
    const { world, find } = finder([OctopusKind as Kind]);
    world.failure = new Error('the server is away');
    await assert.rejects(find(octopus), /away/);
    world.failure = undefined;
    assert.equal((await find(octopus))?.plural, 'octopodes');
  });
});
