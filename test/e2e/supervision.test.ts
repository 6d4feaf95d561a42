/** A role that hangs, or whose supervisor is gone, is noticed from outside; what restarts refuses nobody meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigMapKind } from '../../src/api/core/config-map.ts';
import { processOf } from '../../src/lib/processes.ts';
import { listSetAside } from '../../src/server/quarantine-files.ts';
import { listRestarts } from '../../src/server/restarts.ts';
import { eventually, kittiwake, platformOfFile, roleProcesses, startTestPlatform } from '../kit/platform.ts';

const { dataDir, ...first } = await platformOfFile();
let { platform } = first;

const roles = () => roleProcesses(platform.process.pid ?? 0);

test('a control process that does not answer is ended and started again, and that is remembered', async () => {
  const before = roles().control ?? 0;
  process.kill(before, 'SIGSTOP'); // Nothing in it turns, as in an endless loop.
  const status = await kittiwake(dataDir, 'status');
  assert.match(status.stdout, /control +no +\d+ +it does not answer within 3 s\n/);
  assert.equal(status.code, 2);
  await eventually('another control process', async () => ((roles().control ?? before) === before ? undefined : true));
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'after', namespace: 'default' }, data: {} };
  await eventually('an answer of the API', async () => platform.client.create(ConfigMapKind, map));
  const last = listRestarts(dataDir).at(-1);
  assert.equal(last?.role, 'control');
  assert.match(last?.why ?? '', /did not answer/);
  assert.deepEqual(listSetAside(dataDir), [], 'once is not enough to set anything aside');
});

test('while gateway and broker are killed and started again, no connection is refused', async () => {
  let answered = 0;
  let isOver = false;
  const refused: string[] = [];
  const clients = [platform.addresses.gatewayUrl, `${platform.addresses.brokerUrl}/none/none`].map(async (url) => {
    while (!isOver) {
      // Each request a connection of its own; one that was under way when its process died is reset, none is refused.
      await fetch(url, { method: 'POST', headers: { connection: 'close' } }).then(
        () => answered++,
        (error) => {
          if (error.cause?.code === 'ECONNREFUSED') refused.push(url);
        },
      );
    }
  });
  for (const role of ['gateway', 'broker', 'gateway', 'broker']) {
    const before = roles()[role] ?? 0;
    const answeredBefore = answered;
    process.kill(before, 'SIGKILL');
    await eventually(`another ${role}`, async () => ((roles()[role] ?? before) === before ? undefined : true));
    await eventually('answers', async () => (answered > answeredBefore + 20 ? true : undefined));
  }
  isOver = true;
  await Promise.all(clients);
  assert.deepEqual(refused, []);
});

test('roles that cannot end by themselves end when their supervisor was killed', async () => {
  const left = roles();
  for (const pid of Object.values(left)) process.kill(pid, 'SIGSTOP');
  platform.process.kill('SIGKILL');
  await eventually('the end of all roles', async () => {
    const alive = Object.values(left).filter((pid) => processOf(pid) !== undefined);
    return alive.length === 0 ? true : undefined;
  });
  platform = await startTestPlatform(dataDir);
  assert.ok(await platform.client.get(ConfigMapKind, { namespace: 'default', name: 'after' }));
});
