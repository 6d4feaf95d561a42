import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until as come } from '../lib/testing/until.ts';
import { defaultConfig } from './config.ts';
import { bindSocket } from './lent-sockets.ts';
import { listSetAside, release, setAside } from './quarantine-files.ts';
import { listRestarts } from './restarts.ts';
import { type RoleOptions, SupervisedRole, type SupervisorEvent } from './supervised-role.ts';

const program = fileURLToPath(new URL('./testing/fragile-role.ts', import.meta.url));

interface World {
  dataDir: string;
  role: SupervisedRole;
  events: SupervisorEvent[];
  /** What the role has written so far. */
  done(): string[];
  until(what: string, isSo: () => boolean): Promise<boolean>;
}

/** Runs the fragile role with these pieces of work until `body` has ended. */
async function supervised(
  todo: string[],
  body: (world: World) => Promise<void>,
  sockets: RoleOptions['sockets'] = [],
): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-supervised-'));
  for (const folder of ['run', 'logs']) mkdirSync(join(dataDir, folder));
  writeFileSync(join(dataDir, 'todo'), todo.join('\n'));
  writeFileSync(join(dataDir, 'done'), '');
  const events: SupervisorEvent[] = [];
  const role = new SupervisedRole({
    role: 'broker',
    config: { ...defaultConfig(), dataDir },
    sockets,
    program,
    onEvent: (event) => events.push(event),
    onProcess() {},
    limits: { checkMs: 100, silentChecksMax: 30, silentChecksMaxAtStart: 300 },
  });
  const done = () => readFileSync(join(dataDir, 'done'), 'utf8').split('\n').filter(Boolean);
  const until = (what: string, isSo: () => boolean) =>
    come(isSo, () => `${what}: ${JSON.stringify({ events, done: done() })}`);
  try {
    await role.firstReady;
    await body({ dataDir, role, events, done, until });
  } finally {
    await role.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const starts = (world: World) => world.done().filter((line) => line === 'start').length;

describe('work that ends its role', () => {
  for (const [what, name, why] of [
    ['throws where nobody catches', 'crash default/a', /exit code 1: .*crash default\/a went wrong/],
    ['never gives the event loop its turn', 'hang default/a', /did not answer for 3 s/],
    ['exits', 'exit default/a', /exit code 3/],
    ['aborts, as a heap that is full does', 'abort default/a', /signal SIGABRT/],
  ] as const) {
    test(`that ${what} is set aside after the second time, alone, and the rest goes on`, async () => {
      await supervised(['first', name, 'last'], async (world) => {
        const { dataDir, done, until } = world;
        await until('the third start', () => starts(world) === 3);
        await until('the rest', () => done().slice(done().lastIndexOf('start')).length === 4);
        const last = done().slice(done().lastIndexOf('start') + 1);
        assert.deepEqual(last.toSorted(), ['did first', 'did last', `left ${name}: SetAsideError`]);
        const entries = listSetAside(dataDir);
        assert.deepEqual(
          entries.map(({ role, name: found, times }) => ({ role, name: found, times })),
          [{ role: 'broker', name, times: 2 }],
        );
        assert.match(entries[0]?.reason ?? '', why);
        assert.deepEqual(
          world.events.filter((event) => event.type === 'set-aside').map((event) => event.name),
          [name],
        );
        assert.equal(listRestarts(dataDir).length, 2);
        assert.match(listRestarts(dataDir)[0]?.why ?? '', why);
      });
    });
  }

  test('is told to the running role when it is released', async () => {
    await supervised(['crash a', 'b'], async (world) => {
      await world.until('the third start', () => starts(world) === 3);
      assert.equal(release(world.dataDir, 'broker', 'no such work'), false);
      assert.equal(release(world.dataDir, 'broker', 'crash a'), true);
      await world.until('the release', () => world.done().includes('released crash a'));
      assert.equal(starts(world), 3, 'nothing was started for it');
      assert.deepEqual(listSetAside(world.dataDir), []);
    });
  });
});

test('a role that somebody kills, again and again, has nothing set aside', async () => {
  await supervised(['a', 'b'], async (world) => {
    for (const count of [1, 2, 3]) {
      await world.until('the start', () => starts(world) === count);
      process.kill(world.role.pid ?? 0, 'SIGKILL');
    }
    await world.until('the last start', () => starts(world) === 4);
    assert.deepEqual(listSetAside(world.dataDir), []);
    assert.equal(listRestarts(world.dataDir).length, 3);
  });
});

test('a role that could not be started again yet is no reason to wait when it is stopped', async () => {
  await supervised([], async (world) => {
    process.kill(world.role.pid ?? 0, 'SIGKILL');
    await world.until('its end', () => world.role.pid === undefined);
    assert.equal(await world.role.stop(), 'killed');
  });
});

test('a log that cannot be kept within bounds, or not be written at all, ends nothing', async () => {
  await supervised([], async (world) => {
    const log = join(world.dataDir, 'logs', 'broker.log');
    mkdirSync(`${log}.1`);
    truncateSync(log, 11 * 1024 * 1024);
    await world.until('the log within bounds', () => statSync(log).size < 1024);
    assert.equal(starts(world), 1);
    rmSync(join(world.dataDir, 'logs'), { recursive: true });
    writeFileSync(join(world.dataDir, 'logs'), 'in the way of the folder');
    process.kill(world.role.pid ?? 0, 'SIGKILL');
    await world.until('the next start', () => starts(world) === 2);
  });
});

test('a role is started again, however much was set aside', async () => {
  await supervised([], async (world) => {
    const entry = { role: 'broker', reason: 'of the test', times: 2, since: '' } as const;
    for (let i = 0; i < 500; i++) setAside(world.dataDir, { ...entry, name: `${i} ${'語'.repeat(150)}` });
    process.kill(world.role.pid ?? 0, 'SIGKILL');
    await world.until('the second start', () => starts(world) === 2);
  });
});

test('a role whose process the system could not make is tried again, and what was suspect still is', async (t) => {
  const { execPath } = process;
  t.after(() => {
    process.execPath = execPath;
  });
  await supervised(['crash a'], async (world) => {
    process.execPath = '/there/is/no/node';
    const unborn = () => world.events.filter((event) => event.type === 'restarting' && /ENOENT/.test(event.exit));
    await world.until('two tries', () => unborn().length >= 2);
    process.execPath = execPath;
    await world.until('its end', () => world.events.some((event) => event.type === 'set-aside'));
    const events = world.events.filter((event) => event.type === 'set-aside').map(({ name }) => name);
    assert.deepEqual(events, ['crash a']);
    await world.until('the third start', () => starts(world) === 3);
  });
});

test('a connection that comes while the role is started again is answered by the next process', async () => {
  const socket = bindSocket(0, 'broker', '--broker-port');
  try {
    await supervised(
      [],
      async (world) => {
        const url = `http://127.0.0.1:${socket.port}/`;
        const answer = async () => (await fetch(url, { headers: { connection: 'close' } })).text();
        const first = world.role.pid;
        assert.equal(await answer(), String(first));
        process.kill(first ?? 0, 'SIGKILL');
        await world.until('its end', () => world.role.pid === undefined);
        const waiting = await Promise.all([answer(), answer(), answer()]);
        assert.deepEqual(new Set(waiting), new Set([String(world.role.pid)]));
        assert.notEqual(world.role.pid, first);
      },
      [{ name: 'broker', socket }],
    );
  } finally {
    socket.close();
  }
});

test('a port that somebody listens on is named, with its flag', async () => {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  try {
    assert.throws(() => bindSocket(port, 'gateway', '--gateway-port'), {
      code: 'PORT_IN_USE',
      message: /--gateway-port/,
    });
  } finally {
    server.close();
  }
});
