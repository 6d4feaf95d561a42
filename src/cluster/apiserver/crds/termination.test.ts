import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CustomResourceDefinitionKind } from '../../../api/apiextensions/custom-resource-definition.ts';
import { definitionOfKind } from '../../../api/apiextensions/definition-of-kind.ts';
import { LeaseKind } from '../../../api/coordination/lease.ts';
import type { Kind } from '../../../api/kind.ts';
import { ApiError } from '../../../api/status.ts';
import type { Admission } from '../../../kube/admission.ts';
import type { Client } from '../../../kube/client.ts';
import { until } from '../../../lib/testing/until.ts';
import { silentLogger } from '../../../observe/log.ts';
import { openApiServer } from '../index.ts';
import {
  defineGadgets,
  definitionCondition,
  GadgetKind,
  gadget,
  gadgetDefinition,
  gadgetDefinitionKey,
  untilDefinition,
} from '../testing/gadgets.ts';
import { openApi } from '../testing/open-api.ts';

const hold = 'shop.example.dev/hold';
const held = (name: string) => ({ ...gadget(name), metadata: { ...gadget(name).metadata, finalizers: [hold] } });
const letGo = (client: Client, name: string) =>
  client.patch(
    GadgetKind,
    { namespace: 'default', name },
    { type: 'merge', patch: { metadata: { finalizers: null } } },
  );
const isGone = (definition: unknown) => definition === undefined;

test('nothing of a kind is created while its definition is being deleted', async (t) => {
  const { client } = (await openApi(t)).api;
  await defineGadgets(client);
  await client.create(GadgetKind, held('a'));
  await client.delete(CustomResourceDefinitionKind, gadgetDefinitionKey);

  await assert.rejects(client.create(GadgetKind, gadget('b')), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.code, 403);
    assert.equal(error.reason, 'Forbidden');
    assert.equal(
      error.message,
      'gadgets.shop.example.dev "b" is forbidden: ' +
        'create not allowed while custom resource definition is terminating',
    );
    return true;
  });
  assert.equal(await client.get(GadgetKind, { namespace: 'default', name: 'b' }), undefined);
  await letGo(client, 'a');
  await untilDefinition(client, isGone);
});

test('creations that race with the deletion of their definition never hold it up', async (t) => {
  const { client } = (await openApi(t)).api;
  await defineGadgets(client);
  const race = Array.from({ length: 40 }, async (_, i) => {
    for (let turns = i; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    if (i === 10) await client.delete(CustomResourceDefinitionKind, gadgetDefinitionKey);
    else await client.create(GadgetKind, gadget(`g${i}`));
  });
  const outcomes = await Promise.allSettled(race);
  assert.ok(outcomes.some((o) => o.status === 'rejected'));
  await untilDefinition(client, isGone);
});

test('while objects are left the definition says that it is terminating', async (t) => {
  const { client } = (await openApi(t)).api;
  await defineGadgets(client);
  await client.create(GadgetKind, held('a'));
  await client.delete(CustomResourceDefinitionKind, gadgetDefinitionKey);
  const waiting = await untilDefinition(client, (d) => definitionCondition(d, 'Terminating')?.status === 'True');
  assert.equal(definitionCondition(waiting, 'Terminating')?.reason, 'InstanceDeletionInProgress');
  await letGo(client, 'a');
  await untilDefinition(client, isGone);
});

test('an object that could not be deleted is tried again, and the definition says why it waits', async (t) => {
  let isBroken = true;
  const admission: Admission = {
    name: 'broken',
    kinds: [GadgetKind as unknown as Kind],
    async validate({ operation }) {
      if (operation === 'DELETE' && isBroken) throw new Error('the plugin is out of order');
      return [];
    },
  };
  const { api, clock } = await openApi(t, { admission: () => [admission] });
  const { client } = api;
  await defineGadgets(client);
  await client.create(GadgetKind, gadget('a'));
  await client.delete(CustomResourceDefinitionKind, gadgetDefinitionKey);
  const failed = await untilDefinition(
    client,
    (d) => definitionCondition(d, 'Terminating')?.reason === 'InstanceDeletionFailed',
  );
  assert.match(definitionCondition(failed, 'Terminating')?.message ?? '', /the plugin is out of order/);
  isBroken = false;
  const gone = untilDefinition(client, isGone);
  for (let isOver = false; !isOver; ) {
    await clock.advance(60_000);
    isOver = await Promise.race([gone.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))]);
  }
});

test('a definition that others write to while it is released is released all the same', async (t) => {
  const { client } = (await openApi(t)).api;
  await defineGadgets(client);
  await client.create(GadgetKind, gadget('a'));
  let isOver = false;
  const scribble = async () => {
    for (let i = 0; !isOver; i++) {
      const patch = { metadata: { annotations: { count: `${i}` } } };
      await client
        .patch(CustomResourceDefinitionKind, gadgetDefinitionKey, { type: 'merge', patch })
        .catch((error: unknown) => {
          if (!(error instanceof ApiError && error.code === 404)) throw error;
          isOver = true;
        });
    }
  };
  const scribbling = scribble();
  await client.delete(CustomResourceDefinitionKind, gadgetDefinitionKey);
  try {
    await untilDefinition(client, isGone);
  } finally {
    isOver = true;
    await scribbling;
  }
});

test('a deletion that was under way goes on after a restart', async (t) => {
  const { api, clock, dataDir } = await openApi(t);
  await defineGadgets(api.client);
  await api.client.create(GadgetKind, held('a'));
  await api.client.delete(CustomResourceDefinitionKind, gadgetDefinitionKey);
  await api.stop();
  const again = await openApiServer({ dataDir, clock, log: silentLogger, kinds: [] });
  t.after(() => again.stop());
  await assert.rejects(again.client.create(GadgetKind, gadget('b')), { code: 403 });
  await letGo(again.client, 'a');
  await untilDefinition(again.client, isGone);
});

test('a definition that names a built-in resource is not accepted, and its deletion takes nothing', async (t) => {
  const { client } = (await openApi(t)).api;
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace: 'default', name: 'kept' },
    spec: { holderIdentity: 'me' },
  };
  await client.create(LeaseKind, lease);
  const key = { name: 'leases.coordination.k8s.io' };
  const schema = gadgetDefinition().spec.versions[0]?.schema?.openAPIV3Schema ?? {};
  await client.create(CustomResourceDefinitionKind, definitionOfKind({ ...(LeaseKind as unknown as Kind), schema }));
  let seen = await client.get(CustomResourceDefinitionKind, key);
  while (!seen?.status?.conditions) {
    await new Promise((resolve) => setImmediate(resolve));
    seen = await client.get(CustomResourceDefinitionKind, key);
  }
  assert.equal(definitionCondition(seen, 'NamesAccepted')?.status, 'False');
  assert.match(definitionCondition(seen, 'NamesAccepted')?.message ?? '', /built-in/);
  await client.delete(CustomResourceDefinitionKind, key);
  await until(async () => !(await client.get(CustomResourceDefinitionKind, key)));
  assert.equal((await client.get(LeaseKind, { namespace: 'default', name: 'kept' }))?.spec?.holderIdentity, 'me');
});
