import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openWorld, type World } from '../../../test/world.ts';
import { LeaseKind } from '../../api/coordination/lease.ts';
import type { Kind } from '../../api/kind.ts';
import { gatewayLeaseNamespace } from '../../api/networking/gateway-lease.ts';
import { type Service, ServiceKind } from '../../api/serving/service.ts';
import { isConflict } from '../../api/status.ts';
import { workloadControllers } from '../../cluster/workloads/index.ts';
import type { Client, WatchEvent, WatchOptions } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { servingControllers } from '../../serving/index.ts';
import { isReady } from '../../serving/ready.ts';
import { anyImage, inDefault } from '../../serving/testing/serving-world.ts';
import { type Gateway, startGateway } from '../index.ts';
import { RawClient, startHttpOrigin, statusOf } from '../testing/fixture.ts';
import { playNode } from './testing/instant-node.ts';

const serviceCount = 6;

/** As if over a slow line: each change comes up to `delayMs` late, in order. */
function lateClient(client: Client, delayMs: number): Client {
  async function* watch(kind: Kind, options: WatchOptions): AsyncGenerator<WatchEvent<never>> {
    for await (const event of client.watch(kind, options)) {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * delayMs));
      yield event as WatchEvent<never>;
    }
  }
  return { ...client, watch: watch as Client['watch'] };
}

const startNamed = (client: Client, name: string): Promise<Gateway> =>
  startGateway({
    client,
    port: 0,
    autoscaler: { url: 'http://127.0.0.1:9' }, // Nobody listens there: nothing is scaled.
    id: `process of ${name}`,
    lease: name,
    clock: systemClock,
    log: silentLogger,
  });

/** The status and the revision that answers. */
async function ask({ port }: Gateway, host: string): Promise<string> {
  const client = new RawClient(port).send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const text = await client.ended();
  return `${statusOf(text)} ${text.split('\r\n\r\n')[1]}`;
}

describe('ready means that every gateway has the route', () => {
  async function open(test: (world: World, gateways: Gateway[], late: Client) => Promise<void>) {
    const controllers = [
      ...workloadControllers(),
      ...servingControllers({ registry: anyImage, domain: 'localhost', gatewayPort: 8080 }),
    ];
    const world = await openWorld({ controllers });
    // The revision says its name, as the gateway named it to it.
    const origin = await startHttpOrigin(undefined, (request, response) => {
      response.end(String(request.headers['knative-serving-revision']));
    });
    const ending = new AbortController();
    const node = playNode(world.client, origin.port, ending.signal);
    const late = lateClient(world.client, 40);
    const gateways = await Promise.all([startNamed(world.client, 'near'), startNamed(late, 'far')]);
    try {
      await test(world, gateways, late);
    } finally {
      ending.abort();
      await node;
      for (const gateway of gateways) await gateway.stop({ graceMs: 0 });
      await world.stop();
      origin.close();
    }
  }

  const create = ({ client }: World, name: string) =>
    client.create(ServiceKind, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: { template: { spec: { containers: [{ name: '', image: 'web' }] } } },
    });

  async function change({ client }: World, name: string, edit: (service: Service) => void): Promise<void> {
    for (;;) {
      const service = structuredClone(await client.get(ServiceKind, inDefault(name))) as Service;
      edit(service);
      try {
        await client.update(ServiceKind, service);
        return;
      } catch (error) {
        if (!isConflict(error)) throw error; // A controller was faster.
      }
    }
  }

  const ready = ({ client, until }: World, name: string): Promise<Service> =>
    client
      .get(ServiceKind, inDefault(name))
      .then((service) => service && until(ServiceKind, inDefault(name), (now) => isReadyAfter(now, service)))
      .then((service) => service as Service);

  const isReadyAfter = (now: Service | undefined, { metadata: { uid, generation = 1 } }: Service) =>
    now?.metadata.uid === uid && (now?.metadata.generation ?? 0) >= generation && isReady(now as Service);

  it('under churn: who asks as soon as a Service is ready finds what it is ready with, at each gateway', () =>
    open(async (world, gateways) => {
      const check = async (name: string, host: string, what: string) => {
        const service = await ready(world, name);
        const wanted = `200 ${service.status?.latestReadyRevisionName}`;
        const answers = await Promise.all(gateways.map((gateway) => ask(gateway, host)));
        assert.deepEqual(answers, [wanted, wanted], `${name} ${what}`);
      };
      const live = async (name: string) => {
        const host = `${name}.default.localhost`;
        for (let life = 0; life < 2; life++) {
          await create(world, name);
          await check(name, host, 'created');
          await change(world, name, ({ spec }) => {
            spec.template.spec.containers[0] = { name: '', image: 'web', env: [{ name: 'A', value: String(life) }] };
          });
          await check(name, host, 'with a new revision');
          await change(world, name, ({ spec }) => {
            spec.traffic = [
              { latestRevision: true, percent: 100 },
              { latestRevision: true, tag: 'new' },
            ];
          });
          await check(name, `new-${host}`, 'with a tag');
          await world.client.delete(ServiceKind, inDefault(name), { propagationPolicy: 'Foreground' });
          await world.until(ServiceKind, inDefault(name), (service) => service === undefined);
        }
      };
      await Promise.all(Array.from({ length: serviceCount }, (_, at) => live(`s${at}`)));
    }));

  it('and one that starts meanwhile has what became ready before it listens', () =>
    open(async (world, gateways, late) => {
      const creating = Array.from({ length: serviceCount }, (_, at) => create(world, `s${at}`));
      const third = await startNamed(late, 'third');
      try {
        gateways.push(third);
        await Promise.all(creating);
        for (let at = 0; at < serviceCount; at++) {
          const service = await ready(world, `s${at}`);
          const wanted = `200 ${service.status?.latestReadyRevisionName}`;
          assert.equal(await ask(third, `s${at}.default.localhost`), wanted);
        }
        const leases = await world.client.list(LeaseKind, { namespace: gatewayLeaseNamespace });
        assert.deepEqual(leases.items.map(({ metadata }) => metadata.name).sort(), ['far', 'near', 'third']);
      } catch (error) {
        gateways.pop();
        await third.stop({ graceMs: 0 });
        throw error;
      }
    }));
});
