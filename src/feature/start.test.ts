import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceAccount } from '../api/user.ts';
import { type Attributes, allowAuthenticated } from '../cluster/apiserver/authorize.ts';
import { openApi } from '../cluster/apiserver/testing/open-api.ts';
import { systemClock } from '../lib/clock.ts';
import { Quarantine } from '../lib/quarantine.ts';
import { patienceMs } from '../lib/testing/patience.ts';
import { silentLogger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { RegistryClient } from '../registry/index.ts';
import { startFeatures } from './start.ts';
import { GreetingKind, greetings } from './testing/greetings.ts';

test('a feature acts as its own user, and what is watched is watched once for all of them', async (t) => {
  const asked: Attributes[] = [];
  const policy = (request: Attributes) => {
    asked.push(request);
    return allowAuthenticated(request);
  };
  const { api } = await openApi(t, { kinds: greetings.kinds, policy });
  const shared = serviceAccount('kube-system', 'shared');
  const running = await startFeatures([greetings], {
    client: api.clientFor(shared),
    clientFor: api.clientFor,
    clock: systemClock,
    log: silentLogger,
    metrics: new Metrics('test'),
    quarantine: new Quarantine(),
    registry: new RegistryClient({ mirrors: {} }),
    settings: { domain: 'x', gatewayPort: 0, gatewayUrl: '', brokerUrl: '', autoscaler: { port: 0 } },
    folder: (name) => name,
  });
  t.after(() => running.stop());
  const metadata = { name: 'ada', namespace: 'default' };
  await api.client.create(GreetingKind, {
    apiVersion: 'toys.example.dev/v1',
    kind: 'Greeting',
    metadata,
    spec: { to: 'Ada' },
  });
  const signal = AbortSignal.timeout(patienceMs);
  for await (const event of api.client.watch(GreetingKind, { signal })) {
    if (event.type !== 'BOOKMARK' && event.object.status?.text) break;
  }
  const verbsOf = (name: string) => [...new Set(asked.filter(({ user }) => user.name === name).map((r) => r.verb))];
  assert.deepEqual(verbsOf(shared.name), ['watch']);
  assert.deepEqual(verbsOf(greetings.user.name), ['update']);
});
