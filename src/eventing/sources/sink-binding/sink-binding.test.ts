import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../../../test/world.ts';
import { DeploymentKind } from '../../../api/apps/deployment.ts';
import { BrokerKind } from '../../../api/eventing/broker.ts';
import type { Condition } from '../../../api/meta.ts';
import { type Service, ServiceKind } from '../../../api/serving/service.ts';
import { type SinkBinding, SinkBindingKind, type Subject } from '../../../api/sources/sink-binding.ts';
import type { Client } from '../../../kube/client.ts';
import { eventingAdmission, eventingControllers } from '../../index.ts';

describe('sink bindings', () => {
  let world: World;
  const ingressUrl = 'http://127.0.0.1:18081';
  const sinkUri = `${ingressUrl}/default/b`;
  const meta = (name: string, labels: Record<string, string> = {}) => ({ namespace: 'default', name, labels });

  before(async () => {
    const client = (): Client => world.client;
    const plugins = eventingAdmission({ client, ingressUrl });
    world = await openWorld({
      controllers: eventingControllers({ ingressUrl }),
      admission: () => plugins,
    });
    await world.client.create(BrokerKind, {
      apiVersion: 'eventing.knative.dev/v1',
      kind: 'Broker',
      metadata: meta('b'),
      spec: {},
    });
  });

  after(() => world.stop());

  const newBinding = (name: string, subject: Partial<Subject>): Promise<SinkBinding> =>
    world.client.create(SinkBindingKind, {
      apiVersion: 'sources.knative.dev/v1',
      kind: 'SinkBinding',
      metadata: meta(name),
      spec: {
        subject: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', ...subject },
        sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'b' } },
        ceOverrides: { extensions: { team: 'x' } },
      },
    });

  const newService = (name: string, labels: Record<string, string> = {}): Promise<Service> =>
    world.client.create(ServiceKind, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: meta(name, labels),
      spec: { template: { spec: { containers: [{ image: 'i', env: [{ name: 'A', value: '1' }] }] } } },
    } as unknown as Service);

  const envOf = (object: { spec: { template?: { spec?: { containers?: object[] } } } } | undefined) => {
    const container: { env?: { name: string; value?: string }[] } = object?.spec.template?.spec?.containers?.[0] ?? {};
    return Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
  };
  const ready = (object: { status?: { conditions?: Condition[] } } | undefined) =>
    object?.status?.conditions?.find((condition) => condition.type === 'Ready');

  test('a service that is created after its binding knows the sink in its first generation', async () => {
    await newBinding('first', { name: 'first' });
    const service = await newService('first');
    assert.deepEqual(envOf(service), { A: '1', K_SINK: sinkUri, K_CE_OVERRIDES: '{"extensions":{"team":"x"}}' });
    const binding = await world.until(SinkBindingKind, meta('first'), (b) => ready(b)?.status === 'True');
    assert.equal(binding?.status?.sinkUri, sinkUri);
    const later = await world.client.get(ServiceKind, meta('first'));
    assert.equal(later?.metadata.generation, 1);
  });

  test('an older service is told, keeps the sink when it is replaced, and loses it with the binding', async () => {
    const service = await newService('second', { app: 'second' });
    assert.deepEqual(envOf(service), { A: '1' });
    await newBinding('second', { selector: { matchLabels: { app: 'second' } } });
    const told = await world.until(ServiceKind, meta('second'), (s) => envOf(s).K_SINK === sinkUri);
    assert.ok(told);
    const replaced = structuredClone(told);
    replaced.spec.template = structuredClone(service.spec.template);
    const kept = await world.client.update(ServiceKind, replaced);
    assert.equal(envOf(kept).K_SINK, sinkUri);
    assert.equal(kept.metadata.generation, 2);
    await world.client.delete(SinkBindingKind, meta('second'));
    await world.until(ServiceKind, meta('second'), (s) => envOf(s).K_SINK === undefined);
    await world.until(SinkBindingKind, meta('second'), (b) => b === undefined);
  });

  test('of two bindings for one subject the older is followed, and the other says so', async () => {
    await newBinding('a-older', { name: 'third' });
    await newService('third');
    await world.until(SinkBindingKind, meta('a-older'), (b) => ready(b)?.status === 'True');
    await newBinding('b-newer', { name: 'third' });
    const newer = await world.until(SinkBindingKind, meta('b-newer'), (b) => ready(b)?.status === 'False');
    assert.match(ready(newer)?.message ?? '', /bound by the older SinkBinding "a-older"/);
  });

  test('a deployment can be a subject, another kind cannot, and a missing one is named', async () => {
    await newBinding('fourth', { apiVersion: 'apps/v1', kind: 'Deployment', name: 'fourth' });
    const missing = await world.until(SinkBindingKind, meta('fourth'), (b) => ready(b)?.status === 'False');
    assert.match(ready(missing)?.message ?? '', /Deployment "fourth" does not exist/);
    const labels = { app: 'fourth' };
    const deployment = await world.client.create(DeploymentKind, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: meta('fourth'),
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
    assert.equal(envOf(deployment).K_SINK, sinkUri);
    await world.until(SinkBindingKind, meta('fourth'), (b) => ready(b)?.status === 'True');
    await newBinding('fifth', { apiVersion: 'batch/v1', kind: 'Job', name: 'j' });
    const refused = await world.until(SinkBindingKind, meta('fifth'), (b) => ready(b)?.status === 'False');
    assert.match(ready(refused)?.message ?? '', /batch\/v1 Job cannot be bound/);
  });
});
