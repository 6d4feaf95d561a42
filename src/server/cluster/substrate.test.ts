import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LeaseKind } from '../../api/coordination/lease.ts';
import { ConfigurationKind } from '../../api/serving/configuration.ts';
import { type Service, ServiceKind } from '../../api/serving/service.ts';
import { type Attributes, allowAuthenticated } from '../../cluster/apiserver/authorize.ts';
import { type ApiServer, openApiServer } from '../../cluster/apiserver/index.ts';
import type { Client } from '../../kube/client.ts';
import { httpClient } from '../../kube/http/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { until as come } from '../../lib/testing/until.ts';
import { silentLogger } from '../../observe/log.ts';
import { defaultConfig, portsBy } from '../config.ts';
import { SupervisedRole, type SupervisorEvent } from '../supervised-role.ts';

const lease = { namespace: 'kittiwake-system', name: 'control' };

describe('two control planes of one cluster', () => {
  let dir: string;
  let api: ApiServer;
  let client: Client;
  /** Each is known to the server by a name of its own. */
  const kubeconfigOf = { first: 'pki/gateway.kubeconfig', second: 'pki/broker.kubeconfig' };
  type Name = keyof typeof kubeconfigOf;
  const asked: Attributes[] = [];
  const running: SupervisedRole[] = [];
  const events: SupervisorEvent[] = [];

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-two-'));
    const policy = (request: Attributes) => {
      asked.push(request);
      return allowAuthenticated(request);
    };
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [], policy });
    const { kubeconfigPath } = await api.listen({ port: 0 });
    client = httpClient({ kubeconfigPath });
  });
  after(async () => {
    await Promise.all(running.map((role) => role.stop()));
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  function run(name: Name): SupervisedRole {
    const dataDir = join(dir, name);
    for (const folder of ['', 'run', 'logs']) mkdirSync(join(dataDir, folder), { recursive: true });
    const config = { ...defaultConfig(), dataDir, ports: portsBy(() => 0), substrate: 'cluster' as const };
    const role = new SupervisedRole({
      role: 'control',
      config: { ...config, kubeconfig: join(dir, kubeconfigOf[name]) },
      sockets: [],
      onEvent: (event) => events.push(event),
      onProcess() {},
    });
    running.push(role);
    return role;
  }
  const holder = async () => (await client.get(LeaseKind, lease))?.spec?.holderIdentity || undefined;
  const until = <T>(what: string, probe: () => Promise<T> | T) =>
    come(probe, () => `${what}; ${JSON.stringify(events)}`);
  const service = (name: string): Service => ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { template: { spec: { containers: [{ name: '', image: `example.com/web@sha256:${'a'.repeat(64)}` }] } } },
  });
  const reconciled = (name: string) =>
    until(`${name} has a Configuration`, () => client.get(ConfigurationKind, { namespace: 'default', name }));
  /** Which control planes have written objects of the product since `from`. */
  const writers = (from: number) => {
    const isWrite = ({ verb }: Attributes) => ['create', 'update', 'patch', 'delete'].includes(verb);
    const isOurs = (request: Attributes) =>
      'resource' in request && request.resource.kind.group.endsWith('.knative.dev') && isWrite(request);
    const names = asked
      .slice(from)
      .filter(isOurs)
      .map(({ user }) => user.name);
    return [...new Set(names)].filter((name) => name !== 'kubernetes-admin');
  };
  const userOf = (name: Name) => `system:serviceaccount:kittiwake-system:${name === 'first' ? 'gateway' : 'broker'}`;

  test('begin at once, and one alone reconciles, until it ends and the other does', async () => {
    const [first, second] = [run('first'), run('second')];
    await Promise.all([first.firstReady, second.firstReady]);
    const leader = await until('one leads', holder);
    await client.create(ServiceKind, service('one'));
    await reconciled('one');
    const [name, ...others] = writers(0);
    assert.deepEqual(others, [], 'all of its features are whom the kubeconfig names, and the other plane does nothing');
    const key = { namespace: 'default', name: 'one' };
    const timeouts = [await client.get(ServiceKind, key), await client.get(ConfigurationKind, key)].map(
      (object) => object?.spec.template?.spec?.timeoutSeconds,
    );
    assert.deepEqual(timeouts, [undefined, 300], 'what a user writes stays as it is, and is read with its defaults');
    const isFirst = name === userOf('first');
    await (isFirst ? first : second).stop();
    assert.notEqual(
      await until('the other leads', async () => ((await holder()) === leader ? undefined : holder())),
      leader,
    );
    const from = asked.length;
    await client.create(ServiceKind, service('two'));
    await reconciled('two');
    assert.deepEqual(writers(from), [userOf(isFirst ? 'second' : 'first')]);
    running.splice(running.indexOf(isFirst ? first : second), 1);
  });

  test('end when somebody else has the Lease, which is nobody’s fault, and do nothing until it is free', async () => {
    const [role] = running;
    assert.ok(role);
    await until('it leads', holder);
    const stored = await client.get(LeaseKind, lease);
    assert.ok(stored?.spec);
    const spec = { ...stored.spec, holderIdentity: 'somebody else', leaseDurationSeconds: 3600 };
    const taken = await until('the Lease is taken', () => take(spec));
    const told = await until('it ends', () => events.find((event) => event.type === 'restarting'));
    assert.match(
      told.type === 'restarting' ? told.exit : '',
      /the Lease kittiwake-system\/control is not ours any more/,
    );
    assert.ok(!events.some((event) => event.type === 'set-aside'));
    const from = asked.length;
    await client.create(ServiceKind, service('three'));
    await until('its successor looks at the Lease', () =>
      asked.slice(from).find((request) => request.verb === 'get' && request.user.name !== 'kubernetes-admin'),
    );
    assert.deepEqual(writers(from), []);
    assert.equal(await client.get(ConfigurationKind, { namespace: 'default', name: 'three' }), undefined);
    await client.update(LeaseKind, { ...taken, spec: { ...spec, holderIdentity: '' } });
    await reconciled('three');
  });

  /** The holder may write it in the same moment. */
  async function take(spec: object) {
    const stored = await client.get(LeaseKind, lease);
    assert.ok(stored);
    return client.update(LeaseKind, { ...stored, spec }).catch(() => undefined);
  }
});
