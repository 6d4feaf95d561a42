import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Pod } from '../../../api/core/pod.ts';
import { KittiwakeError } from '../../../lib/errors.ts';
import { until } from '../../../lib/testing/until.ts';
import type { ContainerExit, ContainerOnNode, Driver, RunningContainer, Sandbox, Streams } from '../driver.ts';
import { portAt, StartError } from '../driver.ts';
import type { Image } from '../images/image.ts';

/** A driver to test, and what it takes to do so. */
export interface DriverUnderTest {
  image: Image;
  /** Opens the driver on the folder `dir`; again, it is another one on the same machine. */
  open(dir: string): Driver;
  /** What containers of `image` can run. */
  commands: {
    prints(text: string): string[];
    complains(text: string): string[];
    printsVariable(name: string): string[];
    exits(code: number): string[];
    waits: string[];
    copiesInput: string[];
    /** Prints a line when it listens, and gives back to each connection what it sends, to its end. */
    echoes(port: number): string[];
    /** Prints `COLUMNSxROWS` when its terminal has another size. */
    printsSize: string[];
  };
  close(): Promise<void>;
}

const never = new AbortController().signal;
const plain = { hasStdin: false, hasTerminal: false };

/** What any driver must do (driver.ts), as tests; `setUp` is called once. */
export function driverContract(
  name: string,
  setUp: () => Promise<DriverUnderTest>,
  skip: string | false = false,
): void {
  describe(`what a driver must do: ${name}`, { skip }, () => {
    let subject: DriverUnderTest;
    let dir: string;
    let driver: Driver;
    let commands: DriverUnderTest['commands'];
    const opened: Driver[] = [];
    let serial = 0;

    before(async () => {
      subject = await setUp();
      commands = subject.commands;
    });
    after(() => subject.close());
    beforeEach(() => {
      dir = mkdtempSync(join(tmpdir(), 'kittiwake-contract-'));
      driver = open();
    });
    afterEach(async () => {
      for (const sandbox of await open().recover()) {
        const { containers } = sandbox;
        await sandbox.remove();
        await Promise.all(containers.map((container) => container.exited));
      }
      for (const each of opened.splice(0)) await each.close();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    });

    const open = () => {
      const made = subject.open(dir);
      opened.push(made);
      return made;
    };
    const podOf = (uid: string): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: uid, namespace: 'default', uid },
      spec: { containers: [{ name: 'c', ports: [{ containerPort: 8080 }] }] },
    });
    const sandboxOf = (uid = `pod-${++serial}`, of = driver) => of.sandbox(podOf(uid), never);
    const logOf = (sandbox: Sandbox, container = 'c') => join(dir, 'logs', sandbox.podUid, `${container}.log`);
    const start = (sandbox: Sandbox, argv: string[], more: Partial<ContainerOnNode> = {}, signal = never) => {
      const { container = 'c' } = more.id ?? {};
      return sandbox.start(
        {
          id: { podUid: sandbox.podUid, container, restart: 0 },
          spec: { name: container },
          image: subject.image,
          argv,
          workingDir: '/',
          environment: {},
          mounts: [],
          logPath: logOf(sandbox, container),
          ...more,
        },
        signal,
      );
    };
    const startEcho = async (sandbox: Sandbox) => {
      const echo = await start(sandbox, commands.echoes(portAt(sandbox.addresses, 8080)));
      await until(() => readFileSync(logOf(sandbox), 'utf8') !== '', 'it listens');
      return echo;
    };

    test('a pod has one sandbox, with an address, and another pod has another', async () => {
      const first = await sandboxOf('a');
      assert.equal(await sandboxOf('a'), first);
      assert.notEqual(await sandboxOf('b'), first);
      assert.equal(first.podUid, 'a');
      assert.ok(first.addresses.ips[0].length > 0);
    });

    test('a caller that has given up gets no sandbox, and there is none', async () => {
      await assert.rejects(driver.sandbox(podOf('late'), AbortSignal.abort()));
      assert.deepEqual(await open().recover(), []);
    });

    test('a container ends with the exit code of its program, and what it printed is in its log', async () => {
      const sandbox = await sandboxOf();
      const { exitCode, signal, isUnknown } = await (await start(sandbox, commands.exits(5))).exited;
      assert.deepEqual([exitCode, signal, isUnknown], [5, undefined, false]);
      assert.equal((await (await start(sandbox, commands.prints('one\n'))).exited).exitCode, 0);
      await (await start(sandbox, commands.complains('two\n'))).exited;
      assert.equal(readFileSync(logOf(sandbox), 'utf8'), 'one\ntwo\n');
    });

    test('a signal, by its name or its number, ends a container with 128 and its number', async () => {
      const sandbox = await sandboxOf();
      for (const [signal, number] of [
        ['SIGTERM', 15],
        ['SIGKILL', 9],
        [10, 10],
      ] as const) {
        const running = await start(sandbox, commands.waits);
        const exit = await endOf(running, signal);
        assert.equal(exit.exitCode, 128 + number);
        // Whoever hears of the end by its code alone cannot tell it from that of a program that says so itself.
        assert.ok(exit.signal === number || exit.signal === undefined);
        running.signal(signal); // Of one that has ended, it is nothing.
      }
    });

    test('nothing is started for a caller that has given up', async () => {
      const sandbox = await sandboxOf();
      await assert.rejects(start(sandbox, commands.waits, {}, AbortSignal.abort()));
      assert.deepEqual(sandbox.containers, []);
    });

    test('what is no program is a failure of that start, in words', async () => {
      const sandbox = await sandboxOf();
      await assert.rejects(start(sandbox, ['frobnicate']), (error) => {
        assert.ok(error instanceof StartError);
        assert.match(error.message, /"frobnicate"/);
        return true;
      });
      assert.deepEqual(sandbox.containers, []);
    });

    test('a sandbox has the containers that run in it, each with what it was started as', async () => {
      const sandbox = await sandboxOf();
      const [a, b] = ['a', 'b'].map((container) => ({ id: { podUid: sandbox.podUid, container, restart: 3 } }));
      const first = await start(sandbox, commands.waits, a);
      const second = await start(sandbox, commands.waits, b);
      assert.deepEqual(sandbox.containers, [first, second]);
      assert.deepEqual([first.id, first.logPath], [a?.id, logOf(sandbox, 'a')]);
      first.signal('SIGKILL');
      await first.exited;
      assert.deepEqual(sandbox.containers, [second]);
    });

    test('two pods listen on the same port, and each is reached at its own address', async () => {
      for (const sandbox of [await sandboxOf(), await sandboxOf()]) {
        await startEcho(sandbox);
        const { addresses } = sandbox;
        const socket = connect({ host: addresses.ips[0], port: portAt(addresses, 8080), allowHalfOpen: true });
        assert.equal(await said(socket, sandbox.podUid), sandbox.podUid);
      }
    });

    test('a connection is forwarded to a port of the pod, to the end of either side', async () => {
      const sandbox = await sandboxOf();
      await startEcho(sandbox);
      const text = 'x'.repeat(1_000_000);
      assert.equal(await said(await sandbox.forward(8080), text), text);
    });

    test('nothing is forwarded to a port that nobody has', async () => {
      await assert.rejects((await sandboxOf()).forward(9));
    });

    const linux = { skip: process.platform !== 'linux' && 'connections cannot be counted' };
    test('a pod is drained when its last connection is closed', linux, async () => {
      const sandbox = await sandboxOf();
      await startEcho(sandbox);
      await sandbox.drained(never);
      const socket = await sandbox.forward(8080);
      let isDrained = false;
      const drained = sandbox.drained(never).then(() => {
        isDrained = true;
      });
      const givingUp = new AbortController();
      const given = sandbox.drained(givingUp.signal);
      socket.write('still here');
      await once(socket, 'data');
      assert.equal(isDrained, false);
      givingUp.abort();
      await given;
      assert.equal(isDrained, false);
      socket.destroy();
      await drained;
    });

    test('a command has the environment of its container, an output and another for errors, and its end', async () => {
      const running = await start(await sandboxOf(), commands.waits, { environment: { GREETING: 'hello' } });
      const exec = async (command: string[]) => everything(await running.exec(command, plain, never));
      assert.deepEqual(await exec(commands.printsVariable('GREETING')), { stdout: 'hello', stderr: '', exitCode: 0 });
      assert.deepEqual(await exec(commands.complains('no')), { stdout: '', stderr: 'no', exitCode: 0 });
      assert.deepEqual(await exec(commands.exits(3)), { stdout: '', stderr: '', exitCode: 3 });
      await assert.rejects(exec(['frobnicate']), /"frobnicate"/);
    });

    test('a command reads what is written to it, to its end', async () => {
      const running = await start(await sandboxOf(), commands.waits);
      const streams = await running.exec(commands.copiesInput, { ...plain, hasStdin: true }, never);
      streams.stdin?.end('in and out');
      assert.equal((await everything(streams)).stdout, 'in and out');
      const ending = new AbortController();
      const without = await running.exec(commands.waits, plain, ending.signal);
      assert.equal(without.stdin, undefined);
      ending.abort();
      await without.exited;
    });

    test('a command ends, and its streams, when its caller gives up, or with its container', async () => {
      const running = await start(await sandboxOf(), commands.waits);
      const givingUp = new AbortController();
      const given = everything(await running.exec(commands.waits, plain, givingUp.signal));
      const left = everything(await running.exec(commands.waits, plain, never));
      givingUp.abort();
      assert.equal((await given).exitCode, 137);
      await assert.rejects(running.exec(commands.waits, plain, givingUp.signal));
      await endOf(running, 'SIGTERM');
      if (process.platform === 'linux') assert.ok((await left).exitCode > 128);
    });

    test('a command has a terminal with a size, or it is said that there is none', async () => {
      const running = await start(await sandboxOf(), commands.waits);
      const ending = new AbortController();
      const streams = await orUnsupported(
        running.exec(commands.printsSize, { ...plain, hasTerminal: true }, ending.signal),
      );
      if (!streams) return;
      assert.equal(streams.stderr, undefined);
      streams.resize?.({ columns: 132, rows: 43 });
      assert.match(await firstOf(streams.stdout), /132x43/);
      ending.abort();
      await streams.exited;
    });

    test('what is attached to a program reads and writes it, or it is said why not', async () => {
      const sandbox = await sandboxOf();
      const running = await start(sandbox, commands.copiesInput, { spec: { name: 'c', stdin: true } });
      const ending = new AbortController();
      const streams = await orUnsupported(running.attach({ ...plain, hasStdin: true }, ending.signal));
      if (!streams) return;
      streams.stdin?.write('to and fro');
      assert.equal(await firstOf(streams.stdout), 'to and fro');
      ending.abort();
      assert.equal(readFileSync(logOf(sandbox), 'utf8'), 'to and fro');
      assert.deepEqual(sandbox.containers, [running]);
    });

    test('what a container uses is told while it runs, where the system knows', async () => {
      const running = await start(await sandboxOf(), commands.waits);
      const stats = await running.stats();
      if (stats) {
        assert.ok(stats.pids > 0 && stats.memoryWorkingSetBytes > 0, JSON.stringify(stats));
        assert.ok(stats.memoryWorkingSetBytes <= stats.memoryUsageBytes && stats.cpuUsageNs >= 0);
      }
      running.signal('SIGKILL');
      await running.exited;
      assert.equal(await running.stats(), undefined);
    });

    test('another driver finds the sandbox again, its addresses and its containers, and sees them end', async () => {
      const sandbox = await sandboxOf('again');
      const before = await startEcho(sandbox);
      await driver.close();
      const other = open();
      const [found, ...more] = await other.recover();
      assert.ok(found && more.length === 0);
      assert.deepEqual([found.podUid, found.addresses], ['again', sandbox.addresses]);
      assert.equal(await sandboxOf('again', other), found);
      const [running, ...others] = found.containers;
      assert.ok(running && others.length === 0);
      assert.deepEqual([running.id, running.logPath], [before.id, before.logPath]);
      assert.equal(await said(await found.forward(8080), 'still there'), 'still there');
      assert.equal((await everything(await running.exec(commands.prints('x'), plain, never))).stdout, 'x');
      running.signal('SIGKILL');
      assert.equal((await running.exited).exitCode, 137);
      assert.deepEqual(found.containers, []);
    });

    test('in a sandbox that is found again with nothing in it, containers are started', async () => {
      await (await start(await sandboxOf('empty'), commands.exits(0))).exited;
      const other = open();
      await other.recover();
      const sandbox = await sandboxOf('empty', other);
      assert.deepEqual(sandbox.containers, []);
      assert.equal((await (await start(sandbox, commands.exits(4))).exited).exitCode, 4);
    });

    test('a sandbox that is removed ends what runs in it, and is not found again', async () => {
      const sandbox = await sandboxOf();
      const running: RunningContainer[] = [];
      for (const container of ['a', 'b']) {
        running.push(await start(sandbox, commands.waits, { id: { podUid: sandbox.podUid, container, restart: 0 } }));
      }
      await sandbox.remove();
      for (const { exited } of running) assert.notEqual((await exited).exitCode, 0);
      await sandbox.remove(); // Gone is gone.
      assert.deepEqual(await open().recover(), []);
      const next = await sandboxOf(sandbox.podUid);
      assert.notEqual(next, sandbox);
      const other = await startEcho(next);
      await sandbox.remove(); // It is not its successor's end.
      assert.equal(await sandboxOf(sandbox.podUid), next);
      assert.deepEqual(next.containers, [other]);
      assert.equal((await open().recover()).length, 1);
    });
  });
}

/** Until it has ended: a program that has only just begun may not hear of a signal yet. */
async function endOf(running: RunningContainer, signal: 'SIGTERM' | 'SIGKILL' | number): Promise<ContainerExit> {
  const again = setInterval(() => running.signal(signal), 50);
  try {
    running.signal(signal);
    return await running.exited;
  } finally {
    clearInterval(again);
  }
}

/** What comes back on a connection on which all of `text` is sent. */
async function said(socket: Socket | Duplex, text: string): Promise<string> {
  socket.end(text);
  return textOf(socket);
}

async function textOf(stream: Readable | undefined): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += chunk;
  return text;
}

async function firstOf(stream: Readable): Promise<string> {
  return String((await once(stream, 'data'))[0]);
}

/** All that a command says, and how it ends; streams that are cut say what they have said. */
async function everything({ stdout, stderr, exited }: Streams) {
  const [out, err, exitCode] = await Promise.all([
    textOf(stdout).catch(() => ''),
    textOf(stderr).catch(() => ''),
    exited,
  ]);
  return { stdout: out, stderr: err, exitCode };
}

/** Undefined when the driver says, in the catalogue's words, that it has no such thing. */
async function orUnsupported(asking: Promise<Streams>): Promise<Streams | undefined> {
  try {
    return await asking;
  } catch (error) {
    assert.ok(error instanceof KittiwakeError && error.code === 'STREAM_UNSUPPORTED', String(error));
    return undefined;
  }
}
