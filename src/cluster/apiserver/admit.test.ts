import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Kind } from '../../api/kind.ts';
import { annotations } from '../../api/serving/names.ts';
import { type Service, ServiceKind } from '../../api/serving/service.ts';
import type { Admission } from '../../kube/admission.ts';
import { openApi, WidgetKind, widget } from './testing/open-api.ts';
import { refusing, stamper, stamping } from './testing/stamping.ts';

const key = { namespace: 'default', name: 'a' };

describe('an admission plugin', () => {
  test('comes and goes while the server runs', async (t) => {
    let plugins: Admission[] = [];
    const { api } = await openApi(t, { admission: () => plugins });
    await api.client.create(WidgetKind, widget('a'));
    plugins = [refusing('not today')];
    await assert.rejects(api.client.create(WidgetKind, widget('b')), /spec\.parts: not today/);
    plugins = [];
    await api.client.create(WidgetKind, widget('b'));
  });

  test('has what it changes pruned and defaulted, and no say in what is the server’s', async (t) => {
    const { plugin } = stamping();
    const { api } = await openApi(t, { admission: () => [plugin] });
    const made = await api.client.create(WidgetKind, widget('a'));
    assert.deepEqual(made.spec, { size: 10, parts: [{ name: 'stamp-0', count: 1 }] });
    assert.equal(made.metadata.name, 'a');
    assert.notEqual(made.metadata.uid, 'mine');
    const patch = { type: 'merge' as const, patch: { spec: { size: 5 } } };
    const changed = await api.client.patch(WidgetKind, key, patch);
    assert.deepEqual(changed.spec, {
      size: 5,
      parts: [
        { name: 'stamp-0', count: 1 },
        { name: 'stamp-1', count: 1 },
      ],
    });
    assert.equal(changed.metadata.uid, made.metadata.uid);
  });

  test('sees what those before it have made, and is judged with the schema and by those that refuse', async (t) => {
    const plugins = [stamping(), stamping()];
    const { api } = await openApi(t, { admission: () => [...plugins.map((p) => p.plugin), refusing('seen')] });
    const seen = '[{"name":"stamp-0","count":1},{"name":"stamp-1","count":1}]';
    await assert.rejects(api.client.create(WidgetKind, widget('a')), {
      code: 422,
      message: new RegExp(`seen: ${literal(seen)}`),
    });
    const full = widget('a', { parts: [{ name: 'x' }, { name: 'y' }] });
    await assert.rejects(
      api.client.create(WidgetKind, full),
      /spec\.parts: .*at most 3 items/,
      'the schema comes first',
    );
  });

  test('does not bring back what the client took away, where a kind keeps what clients do not know', async (t) => {
    const labelling: Admission = {
      name: 'labelling',
      kinds: [ServiceKind as unknown as Kind],
      mutate({ object: { metadata } }) {
        metadata.labels = { ...metadata.labels, seen: 'yes' };
      },
    };
    const { api } = await openApi(t, { kinds: [ServiceKind as unknown as Kind], admission: () => [labelling] });
    const image = `registry.localhost/default/web@sha256:${'a'.repeat(64)}`;
    const spec = { build: { source: { files: { a: '' } } }, template: { spec: { containers: [{ name: '', image }] } } };
    const metadata = { namespace: 'default', name: 'a' };
    const service = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata, spec };
    const made = await api.client.create(ServiceKind, service);
    const { metadata: stored, ...rest } = made;
    const bare = { ...rest, metadata: { ...stored, labels: {} }, spec: { ...spec, build: null } };
    const without = await api.client.update(ServiceKind, bare);
    assert.equal(without.metadata.labels?.seen, 'yes');
    assert.equal(without.spec.build, undefined);
  });

  test('puts back what a client leaves out without that being a change of the spec by that client', async (t) => {
    const telling: Admission = {
      name: 'telling',
      kinds: [ServiceKind as unknown as Kind],
      mutate({ object }) {
        const [container] = (object as Service).spec.template?.spec?.containers ?? [];
        if (container) container.env = [{ name: 'K_SINK', value: 'http://b' }];
      },
    };
    let plugins: Admission[] = [];
    const { api } = await openApi(t, { kinds: [ServiceKind as unknown as Kind], admission: () => plugins });
    const metadata = { namespace: 'default', name: 'a' };
    const spec = { template: { spec: { containers: [{ name: '', image: 'i' }] } } };
    const made = await api.client.create(ServiceKind, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata,
      spec,
    });
    plugins = [telling];
    const told = await api.clientFor(stamper).update(ServiceKind, made);
    assert.equal(told.metadata.annotations?.[annotations.lastModifier], stamper.name);
    const patch = { type: 'merge' as const, patch: { spec } };
    assert.deepEqual(await api.client.patch(ServiceKind, metadata, patch), told);
  });

  test('is told who asks for what, whether it is meant, and what is stored', async (t) => {
    const { plugin, shown } = stamping();
    const { api } = await openApi(t, { admission: () => [plugin] });
    const client = api.clientFor(stamper);
    await client.create(WidgetKind, widget('a'));
    await client.scale(WidgetKind as never, key, 3);
    const resource = api.pipeline.resources.find(WidgetKind.group, WidgetKind.version, WidgetKind.plural);
    assert.ok(resource);
    const request = { user: stamper, verb: 'update' as const, resource, ...key, dryRun: true };
    const stored = await client.get(WidgetKind, key);
    await api.pipeline.update(request, { ...stored, spec: { colour: 'red' } }, {});
    const told = shown.map(({ object, old, kind, ...rest }) => ({
      ...rest,
      replicas: [old?.spec, object.spec].map((s) => s?.replicas),
    }));
    const always = { user: stamper, namespace: 'default', warnings: [] };
    assert.deepEqual(told, [
      {
        ...always,
        operation: 'CREATE',
        name: undefined,
        subresource: undefined,
        isDryRun: false,
        replicas: [undefined, undefined],
      },
      { ...always, operation: 'UPDATE', name: 'a', subresource: 'scale', isDryRun: false, replicas: [undefined, 3] },
      { ...always, operation: 'UPDATE', name: 'a', subresource: undefined, isDryRun: true, replicas: [3, undefined] },
    ]);
    assert.deepEqual(await client.get(WidgetKind, key), stored);
  });
});

const literal = (text: string) => text.replace(/[[\]{}]/g, '\\$&');
