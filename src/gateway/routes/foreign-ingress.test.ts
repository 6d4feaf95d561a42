import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { openWorld } from '../../../test/world.ts';
import { CoreServiceKind } from '../../api/core/service.ts';
import { EndpointSliceKind } from '../../api/discovery/endpoint-slice.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { IngressKind } from '../../api/networking/ingress.ts';
import { systemClock } from '../../lib/clock.ts';
import { parseYaml } from '../../lib/yaml.ts';
import { silentLogger } from '../../observe/log.ts';
import { startGateway } from '../index.ts';
import { RawClient, startHttpOrigin } from '../testing/fixture.ts';

const kinds = [IngressKind, CoreServiceKind, EndpointSliceKind] as Kind[];
/** Each is an origin, and stands for its port in the manifest. */
const names = ['WEB', 'ADMIN', 'NEXT'];
const manifest = readFileSync(new URL('testing/foreign.yaml', import.meta.url), 'utf8');

describe('an Ingress that somebody wrote by hand', () => {
  it('is served where nobody has heard of revisions: its Services, their ports, and names elsewhere', async (t) => {
    // A cluster without Serving: the kind Revision is not there.
    const world = await openWorld({ kinds: [IngressKind] });
    const origins = await Promise.all(
      names.map((name) =>
        startHttpOrigin(t, (request, response) => response.end(`${name} ${request.headers['from-ingress'] ?? ''}`)),
      ),
    );
    const text = origins.reduce((yaml, { port }, at) => yaml.replaceAll(`$${names[at]}`, String(port)), manifest);
    const gateway = await startGateway({
      client: world.client,
      port: 0,
      autoscaler: { url: 'http://127.0.0.1:9' }, // Nobody listens there: nothing can be woken.
      id: 'test',
      clock: systemClock,
      log: silentLogger,
    });
    try {
      for (const { value } of parseYaml(text, 'foreign.yaml')) {
        const object = value as KubeObject;
        await world.client.create(kinds.find(({ kind }) => kind === object.kind) as Kind, object);
      }
      const ask = async (path: string, field = '') => {
        const head = `GET ${path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n${field}\r\n`;
        return (await new RawClient(gateway.port).send(head).ended()).split('\r\n\r\n')[1];
      };
      while ((await ask('/'))?.startsWith('no route')) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(await ask('/'), 'WEB shop');
      assert.equal(await ask('/admin/users'), 'ADMIN ');
      assert.equal(await ask('/', 'Version: next\r\n'), 'NEXT ');
    } finally {
      await gateway.stop({ graceMs: 0 });
      await world.stop();
    }
  });
});
