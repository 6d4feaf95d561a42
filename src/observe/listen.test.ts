import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { listen } from './listen.ts';
import { silentLogger } from './log.ts';

test('a connection that cannot be accepted is a line in the log, and ends no process', async () => {
  const logged: object[] = [];
  const log = { ...silentLogger, error: (fields: object) => logged.push(fields) };
  const server = createServer();
  const port = await listen(server, { port: 0, role: 'x', flag: '--x-port', log });
  try {
    assert.ok(port > 0);
    const err = new Error('accept ENFILE');
    server.emit('error', err); // As net does when accept(2) fails.
    assert.deepEqual(logged, [{ err, role: 'x' }]);
    const second = listen(createServer(), { port, role: 'y', flag: '--y-port', log });
    await assert.rejects(second, { code: 'PORT_IN_USE', message: /for the y is in use.* --y-port/ });
  } finally {
    server.close();
  }
});
