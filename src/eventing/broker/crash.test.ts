import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeKnown } from './known.ts';
import { delivery, removeDir, startSubscriber, testDir, triggerTo, until } from './testing/fixture.ts';

test('kill -9 at any moment loses no event that was acknowledged, nor a reply to one', async (t) => {
  const dir = await testDir();
  const children: ChildProcess[] = [];
  const start = async () => {
    const started = await startChild(dir);
    children.push(started.child);
    return started;
  };
  let serial = 0;
  const worker = await startSubscriber(({ event }, count) =>
    count % 5 === 0
      ? { status: 500 }
      : {
          headers: {
            'ce-specversion': '1.0',
            'ce-id': `reply to ${event.attributes.id}`,
            'ce-source': '/worker',
            'ce-type': 'done',
          },
        },
  );
  const ledger = await startSubscriber();
  // Also when it fails: what is left running would keep the whole run from ending.
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all([worker.stop(), ledger.stop()]);
    await removeDir(dir);
  });
  await writeKnown(join(dir, 'known.json'), {
    brokers: [{ namespace: 'default', name: 'b', uid: 'uid-of-b' }],
    triggers: [
      triggerTo(worker.uri, {
        name: 'work',
        filter: { filters: [{ exact: { type: 'todo' } }] },
        delivery: { ...delivery, retries: 20, policy: 'linear', delayMs: 1 },
      }),
      triggerTo(ledger.uri, { name: 'ledger', filter: { filters: [{ exact: { type: 'done' } }] } }),
    ],
  });
  const accepted = new Set<string>();

  for (let crash = 0; crash < 5; crash++) {
    const { child, port } = await start();
    const producers = Array.from({ length: 4 }, async () => {
      while (await post(port, `${++serial}`, accepted));
    });
    await until(() => accepted.size >= (crash + 1) * 40);
    child.kill('SIGKILL');
    await Promise.all([...producers, once(child, 'exit')]);
  }

  await start();
  const replied = () => new Set(ledger.received.map(({ event }) => String(event.attributes.id)));
  await until(() => {
    const got = replied();
    return [...accepted].every((id) => got.has(`reply to ${id}`));
  }, 'every accepted event was worked on and its reply reached the ledger');
  assert.ok(accepted.size >= 200);
});

async function startChild(dir: string): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(join(import.meta.dirname, 'testing', 'crash-child.ts'), [dir], { execArgv: [] });
  const exited = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the broker ended with code ${code}`)));
  exited.catch(() => {}); // Later it is killed on purpose.
  const [{ port }] = (await Promise.race([once(child, 'message'), exited])) as [{ port: number }];
  return { child, port };
}

/** Whether the broker is still there; what it acknowledges is put down. */
async function post(port: number, id: string, accepted: Set<string>): Promise<boolean> {
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/test', 'ce-type': 'todo' };
  try {
    const response = await fetch(`http://127.0.0.1:${port}/default/b`, { method: 'POST', headers });
    if (response.status === 202) accepted.add(id);
    return true;
  } catch {
    // The connection broke: the broker was killed, and nothing was acknowledged.
    return false;
  }
}
