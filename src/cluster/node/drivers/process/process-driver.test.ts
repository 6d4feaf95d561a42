import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { type Pod, portsAnnotation } from '../../../../api/core/pod.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { processOf } from '../../../../lib/processes.ts';
import { until } from '../../../../lib/testing/until.ts';
import { silentLogger } from '../../../../observe/log.ts';
import type { ContainerOnNode, Driver, RunningContainer } from '../../driver.ts';
import { Files } from '../../images/files.ts';
import type { Image } from '../../images/image.ts';
import { ImageStore } from '../../images/store.ts';
import { runCommand } from '../../probes/run-command.ts';
import { openTestRegistry, type TestRegistry } from '../../testing/test-images.ts';
import { program } from '../../testing/test-node.ts';
import { pidPath, readClaim, revoke } from '../claims.ts';
import { processDriver } from './index.ts';
import { launcher, readRecord, recordPath } from './record.ts';
import { isTempFolder, makeTempFolder, tempFolderPath } from './temp-folder.ts';

const shared = { clock: systemClock, log: silentLogger, address: '127.0.0.1' };
const never = new AbortController().signal;
let registry: TestRegistry;
let dir: string;
let files: Files;
let images: ImageStore;
let driver: Driver;
const started: RunningContainer[] = [];

describe('the process driver', () => {
  before(async () => {
    registry = await openTestRegistry();
  });
  after(() => registry.stop());
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-driver-'));
    files = new Files(systemClock);
    images = await ImageStore.open({ ...shared, dir: join(dir, 'images'), source: registry.client, files });
    driver = processDriver({ ...shared, dataDir: dir });
  });
  afterEach(async () => {
    for (const container of started.splice(0)) {
      container.signal('SIGKILL');
      await container.exited;
    }
    await driver.close();
    await files.close();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  });

  const imageOf = async (text: string) => images.pull(await registry.push([program(text)]));

  async function start(image: Image, more: Partial<ContainerOnNode> = {}): Promise<RunningContainer> {
    const container: ContainerOnNode = {
      id: { podUid: 'uid', container: 'c', restart: 0 },
      image,
      spec: { name: 'c' },
      argv: image.config.entrypoint,
      workingDir: image.config.workingDir,
      environment: {},
      mounts: [],
      logPath: join(dir, 'logs/0.log'),
      ...more,
    };
    const sandbox = await driver.sandbox(podOf(container.id.podUid), never);
    const running = await sandbox.start(container, never);
    started.push(running);
    return running;
  }

  const podOf = (uid: string): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: uid, uid },
    spec: { containers: [{ name: 'c', ports: [{ containerPort: 8080 }] }] },
  });
  const run = (container: RunningContainer, command: string[], timeoutMs: number, signal?: AbortSignal) =>
    runCommand(container, command, { timeoutMs, signal });

  const output = () => readFileSync(join(dir, 'logs/0.log'), 'utf8');

  test('a container ends with the exit code or the signal of its program', async () => {
    const exit = await (await start(await imageOf('console.log("out"); console.error("err"); process.exit(5)'))).exited;
    assert.deepEqual([exit.exitCode, exit.signal, exit.isUnknown], [5, undefined, false]);
    assert.equal(output(), 'out\nerr\n');
    const sleeping = await start(await imageOf('setInterval(() => {}, 1000)'), {
      id: { podUid: 'other', container: 'c', restart: 0 },
    });
    sleeping.signal('SIGTERM');
    const killed = await sleeping.exited;
    assert.deepEqual([killed.exitCode, killed.signal], [143, 15]);
  });

  test('a program that prints a lot blocks neither itself nor the agent', async () => {
    const text = "for (let i = 0; i < 200_000; i++) console.log('line ' + i)";
    assert.equal((await (await start(await imageOf(text))).exited).exitCode, 0);
    assert.ok(output().endsWith('line 199999\n'));
  });

  test('arguments that are paths of the image are found in its copy', async () => {
    const image = await imageOf('console.log(process.argv[1].endsWith("/root/app/main.mjs"), process.argv[2])');
    await (await start(image, { argv: ['node', '/app/main.mjs', '/not/there'], workingDir: '/' })).exited;
    assert.equal(output(), 'true /not/there\n');
  });

  test('a working directory that the image does not have is made; one that leads out is refused', async () => {
    const image = await imageOf('');
    const argv = ['node', '-p', 'process.cwd().endsWith("/root/new/folder")'];
    await (await start(image, { argv, workingDir: '/new/folder' })).exited;
    assert.equal(output(), 'true\n');
    await assert.rejects(start(image, { workingDir: '/a/../../b' }), /leads out of the root/);
  });

  test('a volume is not put where a link of the image leads out of the copy', async () => {
    const image = await images.pull(await registry.push([{ way: { type: 'symlink', linkname: '/tmp' } }]));
    const mounts = [{ source: dir, path: '/way/outside', isReadOnly: false }];
    await assert.rejects(start(image, { mounts, argv: ['node'], workingDir: '/' }), /way is a file or a link/);
  });

  test('an exec command has the environment of its container, and a limit', async () => {
    const container = await start(await imageOf('setInterval(() => {}, 1000)'), { environment: { A: 'b' } });
    const ok = await run(container, ['node', '-p', 'process.env.A + process.cwd().endsWith("/root/app")'], 5_000);
    assert.deepEqual(ok, { exitCode: 0, output: 'btrue\n' });
    assert.equal((await run(container, ['sleep', '60'], 50)).exitCode, 124);
    assert.equal((await run(container, ['nonsense'], 1_000)).exitCode, 127);
  });

  test('another driver on the same folder finds the container again, its ports and its end', async () => {
    const first = await start(await imageOf('setInterval(() => {}, 1000); console.log("up")'));
    // A start that has not claimed its right to run yet would be revoked.
    await until(() => output() !== '');
    const { addresses } = await driver.sandbox(podOf('uid'), never);
    const [sandbox, ...others] = await processDriver({ ...shared, dataDir: dir }).recover();
    const [found] = sandbox?.containers ?? [];
    assert.ok(found && others.length === 0);
    assert.deepEqual([found.id, found.logPath], [first.id, first.logPath]);
    assert.deepEqual(sandbox?.addresses, addresses);
    assert.ok(Number(addresses.ports[8080]) > 0);
    found.signal('SIGKILL');
    assert.equal((await found.exited).isUnknown, true);
    const [empty] = await processDriver({ ...shared, dataDir: dir }).recover();
    assert.deepEqual(empty?.containers, []);
  });

  test('a start that the agent did not live to see is either adopted or never runs', async () => {
    const id = { podUid: 'uid', container: 'c', restart: 0 };
    assert.equal(revoke(dir, id), true);
    assert.equal(readClaim(dir, id), 'revoked');
    const late = spawnSync('/bin/sh', ['-c', launcher, pidPath(dir, id), 'echo', 'ran']);
    assert.deepEqual([late.status, late.stdout.toString()], [111, '']);

    const other = { ...id, restart: 1 };
    const first = spawnSync('/bin/sh', ['-c', launcher, pidPath(dir, other), 'echo', 'ran']);
    assert.deepEqual([first.status, first.stdout.toString()], [0, 'ran\n']);
    assert.equal(revoke(dir, other), false);
  });

  test('however often a container starts again, it leaves one claim, and what was revoked stays so', async () => {
    const image = await imageOf('');
    const podDir = join(dir, 'pods', 'uid');
    const claims = () => readdirSync(podDir).filter((name) => name.endsWith('.pid'));
    for (const restart of [0, 1, 2]) {
      await (await start(image, { id: { podUid: 'uid', container: 'c', restart } })).exited;
      assert.deepEqual(claims(), [`c.${restart}.pid`]);
    }
    assert.equal(revoke(podDir, { podUid: 'uid', container: 'c', restart: 3 }), true);
    await (await start(image, { id: { podUid: 'uid', container: 'c', restart: 4 } })).exited;
    assert.ok(claims().includes('c.3.pid'));
  });

  test('a claim that is half written is none', () => {
    const id = { podUid: 'uid', container: 'c', restart: 0 };
    writeFileSync(pidPath(dir, id), '123 (sh) R 1');
    assert.equal(readClaim(dir, id), undefined);
  });

  test('what one start has compiled is there for the next, and NODE_OPTIONS stay those of the pod', async () => {
    const image = await imageOf(`
    import { readdirSync } from 'node:fs';
    import module from 'node:module';
    const { NODE_OPTIONS, NODE_COMPILE_CACHE } = process.env;
    console.log(NODE_OPTIONS, readdirSync(NODE_COMPILE_CACHE, { recursive: true }).length > 1);
    module.flushCompileCache();`);
    let expected = '';
    for (const restart of [0, 1]) {
      const id = { podUid: 'uid', container: 'c', restart };
      await (await start(image, { id, environment: { NODE_OPTIONS: '--no-warnings' } })).exited;
      expected += `--no-warnings ${restart === 1}\n`;
      assert.equal(output(), expected);
    }
  });

  test('a container has a short temporary folder of its own, for its user only, that goes with its pod', async () => {
    const long = join(dir, 'long'.repeat(40));
    driver = processDriver({ ...shared, dataDir: long });
    const image = await imageOf(`
    import { createServer } from 'node:net';
    import { mkdirSync } from 'node:fs';
    mkdirSync(process.env.TMPDIR + '/tsx-1000');
    createServer().listen(process.env.TMPDIR + '/tsx-1000/a-socket.pipe').on('error', (e) => console.log(e.code));
    process.on('exit', () => console.log(process.env.TMPDIR));
    setTimeout(() => process.exit(0), 50);`);
    const temps: string[] = [];
    for (const restart of [0, 1]) {
      const container = await start(image, { id: { podUid: 'uid', container: 'c', restart } });
      const record = readRecord(join(long, 'pods/uid'), 'uid', 'c');
      assert.equal(statSync(record?.temp ?? '').mode & 0o777, 0o700);
      temps.push(record?.temp ?? '');
      assert.equal((await container.exited).exitCode, 0);
    }
    assert.equal(output(), temps.map((temp) => `${temp}\n`).join(''));
    await (await driver.sandbox(podOf('uid'), never)).remove();
    await driver.close();
    assert.deepEqual(
      temps.map((temp) => existsSync(temp)),
      [false, false],
    );
  });

  test('what others have put where a temporary folder was to be is neither used nor removed', () => {
    const bases = [join(dir, 'shared')];
    mkdirSync(join(dir, 'target/kept'), { recursive: true });
    mkdirSync(bases[0] ?? '');
    chmodSync(bases[0] ?? '', 0o777);
    assert.equal(tempFolderPath(bases), undefined); // Not sticky: anybody could put another in its place.
    chmodSync(bases[0] ?? '', 0o1777);
    const path = tempFolderPath(bases) ?? '';
    symlinkSync(join(dir, 'target'), path);
    assert.equal(makeTempFolder(path), false);
    assert.equal(isTempFolder(path), false);
    for (const other of ['/', '/etc', dir, join(path, '..'), `${path}/`, 'kw-0123456789ab']) {
      assert.equal(isTempFolder(other), false, other);
    }
    assert.notEqual(tempFolderPath(bases), path);
  });

  for (const [what, damage] of Object.entries<(record: string) => unknown>({
    'that is cut': (record) => record.slice(0, record.length / 2),
    'that is empty': () => '',
    'that is null': () => 'null',
    'without an id': (record) => ({ ...JSON.parse(record), id: undefined }),
    'with the id of another': (record) => ({
      ...JSON.parse(record),
      id: { podUid: '../..', container: '..', restart: 0 },
    }),
    'whose restart is a text': (record) => ({
      ...JSON.parse(record),
      id: { podUid: 'uid', container: 'c', restart: '../x' },
    }),
    'whose ports are none': (record) => ({ ...JSON.parse(record), ports: { 8080: 'http' } }),
    'whose start was never': (record) => ({ ...JSON.parse(record), startedAtMs: 1e300 }),
    'whose image is none': (record) => ({ ...JSON.parse(record), imageDigest: 'sha256:../../x' }),
    'whose environment is a list': (record) => ({ ...JSON.parse(record), environment: [5] }),
    'of an earlier run of the machine': (record) => ({ ...JSON.parse(record), bootId: 'before' }),
  })) {
    test(`a record ${what} is a failure of that record: its container ends, the others are found again`, async () => {
      const image = await imageOf('setInterval(() => {}, 1000); console.log("up")');
      const bad = await start(image);
      const good = await start(image, { id: { podUid: 'good', container: 'c', restart: 0 } });
      await until(() => output() === 'up\nup\n');
      const path = recordPath(join(dir, 'pods/uid'), 'c');
      const damaged = damage(readFileSync(path, 'utf8'));
      writeFileSync(path, typeof damaged === 'string' ? damaged : JSON.stringify(damaged));
      writeFileSync(join(dir, 'pods/stray'), '');
      const other = processDriver({ ...shared, dataDir: dir });
      const found = await other.recover();
      assert.deepEqual(
        found.flatMap(({ containers }) => containers).map((container) => container.id.podUid),
        ['good'],
      );
      assert.equal((await bad.exited).signal, 9);
      const onDisk = () => readdirSync(join(dir, 'pods')).sort();
      assert.deepEqual(onDisk(), ['good', 'stray', 'uid']);
      await found.find(({ podUid }) => podUid === 'uid')?.remove();
      assert.deepEqual(onDisk(), ['good', 'stray']);
      good.signal('SIGKILL');
      await good.exited;
      await other.close();
    });
  }

  test('a claim that names no process of its own is none', () => {
    const id = { podUid: 'uid', container: 'c', restart: 0 };
    for (const text of ['\n', '0 (sh) S\n', '1 (init) S 0\n', '-5 (x) S\n', 'x\n', `99999999999999999999 (x) S\n`]) {
      writeFileSync(pidPath(dir, id), text);
      assert.equal(readClaim(dir, id), undefined, text);
    }
  });

  test('a command that holds its output open, or floods it, ends in time', async () => {
    const container = await start(await imageOf('setInterval(() => {}, 1000)'));
    const held = await run(container, ['/bin/sh', '-c', 'setsid sleep 1000 & echo done'], 60_000);
    assert.deepEqual(held, { exitCode: 0, output: 'done\n' });
    const heldLate = await run(container, ['/bin/sh', '-c', 'setsid sleep 1000 & sleep 1000'], 100);
    assert.equal(heldLate.exitCode, 124);
    const flood = await run(container, ['/bin/sh', '-c', 'exec cat /dev/zero'], 60_000);
    assert.equal(flood.exitCode, 124);
    assert.match(flood.output, /more than 16777216 bytes/);
    const binary = await run(container, ['/bin/sh', '-c', 'head -c 100000 /dev/zero'], 60_000);
    assert.deepEqual([binary.exitCode, binary.output.length], [0, 65_536]);
    const aborted = new AbortController();
    const running = run(container, ['sleep', '1000'], 60_000, aborted.signal);
    aborted.abort();
    assert.equal((await running).exitCode, 124);
  });

  test('a command whose time is over runs no longer, and its streams are cut, whoever holds them', async () => {
    const container = await start(await imageOf('setInterval(() => {}, 1000)'));
    const giveUp = new AbortController();
    const late = run(container, ['/bin/sh', '-c', 'echo $$ >new; mv new late; exec sleep 1000'], 60_000, giveUp.signal);
    const note = join(dir, 'pods/uid/c/root/app/late');
    await until(() => existsSync(note));
    giveUp.abort();
    assert.equal((await late).exitCode, 124);
    const pid = Number(readFileSync(note, 'utf8'));
    await until(() => !processOf(pid));
    const ending = new AbortController();
    const command = ['/bin/sh', '-c', 'setsid sleep 1000 & echo up'];
    const streams = await container.exec(command, { hasStdin: false, hasTerminal: false }, ending.signal);
    await once(streams.stdout, 'data');
    await streams.exited;
    const closed = [streams.stdout, streams.stderr].map((stream) => stream && once(stream, 'close'));
    ending.abort();
    await Promise.all(closed);
  });

  test("ports of the host are one pod's until its sandbox is gone, also when that is found again", async () => {
    const { ports } = (await driver.sandbox(podOf('uid'), never)).addresses;
    const asking = (uid: string): Pod => {
      const pod = podOf(uid);
      const annotations = { [portsAnnotation]: JSON.stringify(ports) };
      return { ...pod, metadata: { ...pod.metadata, annotations } };
    };
    const portsOf = async (of: Driver, uid: string) => (await of.sandbox(asking(uid), never)).addresses.ports;
    assert.notDeepEqual(await portsOf(driver, 'second'), ports);
    await start(await imageOf('setInterval(() => {}, 1000); console.log("up")'));
    await until(() => output() !== '');
    const other = processDriver({ ...shared, dataDir: dir });
    const [found] = await other.recover();
    assert.notDeepEqual(await portsOf(other, 'third'), ports);
    await found?.remove();
    assert.deepEqual(await portsOf(other, 'fourth'), ports);
    await other.close();
  });

  for (const [what, command] of Object.entries<string[]>({
    'a folder': ['/'],
    'nothing at all': [],
    'an empty name': [''],
    'a name with a NUL': ['/bin/sh\0'],
    'an argument with a NUL': ['/bin/sh', 'a\0b'],
    'more than the system takes': ['/bin/echo', 'x'.repeat(4_000_000)],
  })) {
    test(`a command that is ${what} fails in words, and so does such a container`, async () => {
      const image = await imageOf('setInterval(() => {}, 1000)');
      const container = await start(image);
      const result = await run(container, command, 5_000);
      assert.equal(result.exitCode, 127);
      assert.notEqual(result.output, '');
      if (command.length === 0) return; // A pod without a command is refused before.
      const id = { podUid: 'other', container: 'c', restart: 0 };
      await assert.rejects(start(image, { id, argv: command }), /exec: |could not be started/);
    });
  }

  test('what a program leaves as its compile cache is taken only if it is one', async () => {
    for (const [name, leave] of Object.entries({
      pipe: `execFileSync('mkfifo', [dir + '/v/pipe'])`,
      link: `symlinkSync('/etc/passwd', dir + '/v/link')`,
      many: `for (let i = 0; i < 6000; i++) writeFileSync(dir + '/v/' + i, '')`,
      deep: `mkdirSync(dir + '/1/2/3/4/5/6', { recursive: true })`,
      huge: `truncateSync(dir + '/v/file', 300 * 1024 * 1024)`,
    })) {
      const image = await imageOf(`
      import { execFileSync } from 'node:child_process';
      import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
      const dir = process.env.NODE_COMPILE_CACHE;
      mkdirSync(dir + '/v', { recursive: true });
      writeFileSync(dir + '/v/file', '');
      ${leave}`);
      assert.equal(
        (await (await start(image, { id: { podUid: name, container: 'c', restart: 0 } })).exited).exitCode,
        0,
      );
      assert.deepEqual(readdirSync(join(dir, 'compile-caches')), [], name);
    }
  });

  test('spares of an earlier run of the machine are not used: they were not synced', async () => {
    const image = await imageOf('console.log("whole")');
    await (await start(image)).exited;
    await (await driver.sandbox(podOf('uid'), never)).remove();
    await driver.close();
    const [hex = ''] = readdirSync(join(dir, 'spares'));
    const [spare = ''] = readdirSync(join(dir, 'spares', hex));
    writeFileSync(join(dir, 'spares', hex, spare, 'root/app/main.mjs'), '');
    writeFileSync(join(dir, 'boot'), 'another');
    driver = processDriver({ ...shared, dataDir: dir });
    await (await start(image)).exited;
    assert.equal(output(), 'whole\nwhole\n');
  });
});
