import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BuildContext } from '../context.ts';
import type { BuildFailure } from '../failure.ts';
import { redactFor } from '../redact.ts';
import { type GitServer, startGitServer } from '../testing/git-server.ts';
import { type BuildWorld, openBuildWorld } from '../testing/world.ts';
import { fetchCommit, resolveCommit } from './git.ts';
import type { SourceLimits } from './source.ts';

describe('hostile repositories', () => {
  let world: BuildWorld;
  let git: GitServer;
  let work: string;

  before(async () => {
    world = await openBuildWorld();
    git = await startGitServer(join(world.dir, 'git'));
    work = join(world.dir, 'git/work');
    git.commit('main', { 'index.js': 'exports.handle = () => 1;' });
  });
  after(async () => {
    await git.stop();
    await world.stop();
  });

  async function context(signal?: AbortSignal): Promise<BuildContext> {
    const made = world.context('app', signal);
    await mkdir(made.workDir, { recursive: true });
    return made;
  }

  const fails = (reason: string, message: RegExp) => (error: BuildFailure) => {
    assert.equal(error.reason, reason, error.stack);
    assert.match(error.message, message);
    return true;
  };

  async function fetch(revision: string, limits?: SourceLimits) {
    const location = { url: git.url, revision };
    const made = await context();
    const commit = await resolveCommit(location, made);
    const source = await fetchCommit(location, commit, undefined, join(made.workDir, 'source'), made, limits);
    return { source, log: made.log.text() };
  }

  /** A commit whose root has these entries, whatever git thinks of them. */
  function commitTree(branch: string, entries: [mode: string, name: string, hash: string][]): void {
    const bytes = entries.map(([mode, name, hash]) =>
      Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(hash, 'hex')]),
    );
    const write = ['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'];
    const tree = execFileSync('git', write, { cwd: work, input: Buffer.concat(bytes), encoding: 'utf8' }).trim();
    git.git('update-ref', `refs/heads/${branch}`, git.git('commit-tree', '-m', branch, tree));
  }

  const blob = () => git.git('rev-parse', 'main:index.js');
  const folder = () => git.git('rev-parse', 'main^{tree}');

  test('entries that would leave the source, or be read as a repository, are refused', async () => {
    const table: [string, [string, string, string][], RegExp][] = [
      ['dots', [['40000', '..', folder()]], /"\.\.\/index\.js"/],
      ['dot', [['40000', '.', folder()]], /"\.\/index\.js"/],
      ['git-file', [['100644', '.git', blob()]], /"\.git"/],
      ['git-folder', [['40000', '.GIT', folder()]], /"\.GIT\/index\.js"/],
      ['slash', [['100644', '../evil', blob()]], /"\.\.\/evil"/],
      ['root', [['100644', '/etc/evil', blob()]], /"\/etc\/evil"/],
    ];
    for (const [branch, entries, message] of table) {
      commitTree(branch, entries);
      await assert.rejects(fetch(branch), fails('SourceInvalid', message), branch);
    }
    const out = execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: work, input: '/etc/passwd' });
    commitTree('link-out', [['120000', 'passwd', out.toString().trim()]]);
    await assert.rejects(fetch('link-out'), fails('SourceInvalid', /passwd is a symbolic link out of the source/));
  });

  test('submodules are left out, and said to be only so often', async () => {
    const entries = Array.from({ length: 500 }, (_, i) => [
      '160000',
      `sub${String(i).padStart(3, '0')}`,
      'a'.repeat(40),
    ]);
    commitTree('bomb', [['100644', 'index.js', blob()], ...(entries as [string, string, string][])]);
    const { source, log } = await fetch('bomb');
    assert.deepEqual([...source.entries.keys()], ['index.js']);
    assert.ok(log.split('\n').filter((line) => line.includes('submodule')).length <= 20);
  });

  test('a source with too many files, a file or a whole that is too large is refused before it is read', async () => {
    const limits = { filesMax: 3, fileBytesMax: 200, totalBytesMax: 300 };
    git.commit('file', { 'a.js': 'x'.repeat(201) });
    await assert.rejects(fetch('file', limits), fails('SourceTooLarge', /a\.js has 201 bytes/));
    git.commit('total', { 'a.js': 'x'.repeat(180), 'b.js': 'y'.repeat(180) });
    await assert.rejects(fetch('total', limits), fails('SourceTooLarge', /more than 300 bytes/));
    git.commit('files', { a: '', b: '1', c: '2', d: '3', e: '4' });
    await assert.rejects(fetch('files', limits), fails('SourceTooLarge', /more than 3 files/));
    // One tree many times over: a handful of objects, millions of paths.
    let tree = folder();
    for (let depth = 0; depth < 6; depth++) {
      const entries = Array.from({ length: 10 }, (_, i) => [`40000`, `d${i}`, tree] as [string, string, string]);
      commitTree('deep', entries);
      tree = git.git('rev-parse', 'deep^{tree}');
    }
    await assert.rejects(fetch('deep'), fails('SourceTooLarge', /more than|gave more than/));
  });

  test('what is no address and no revision runs nothing and reads nothing of this machine', async () => {
    const note = join(world.dir, 'ran');
    const locations: [string, string][] = [
      [`ext::touch ${note}`, 'main'],
      [`ext::sh -c touch%20${note}`, 'main'],
      [`file://${work}/.git`, 'main'],
      [`${work}/.git`, 'main'],
      [`--upload-pack=touch ${note}`, 'main'],
      [`ssh://-oProxyCommand=touch%20${note}/x`, 'main'],
      [`ssh://a@-oProxyCommand=touch%20${note}/x`, 'main'],
      [git.url, `--upload-pack=touch ${note}`],
      [git.url, '--exec=x'],
    ];
    for (const [url, revision] of locations) {
      const made = await context();
      const failed = await resolveCommit({ url, revision }, made).then(
        (commit) => `gave ${commit}`,
        ({ reason }: BuildFailure) => reason,
      );
      assert.match(failed, /^Git(FetchFailed|RepositoryNotFound|RevisionNotFound|AuthRequired)$/, `${url} ${revision}`);
    }
    assert.equal(existsSync(note), false);
  });

  test('a server that hangs, talks without end or talks nonsense is left with the build', async () => {
    const servers: Server[] = [];
    const refs = `003f${'a'.repeat(40)} refs/heads/branch-0123456789\n`;
    const heads = { 'content-type': 'application/x-git-upload-pack-advertisement' };
    const starts: Parameters<typeof createServer>[1][] = [
      () => {},
      (_request, response) => void response.writeHead(200, heads).write('001e# service=git-upload-pack\n0000'),
      (_request, response) => {
        response.writeHead(200, heads).write('001e# service=git-upload-pack\n0000');
        const more = () => {
          while (!response.destroyed && response.write(refs.repeat(1000)));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      },
    ];
    try {
      for (const handler of starts) {
        const server = createServer(handler as never).listen(0, '127.0.0.1');
        servers.push(server);
        await new Promise((resolve) => server.once('listening', resolve));
        const abort = new AbortController();
        const reached = new Promise((resolve) => server.once('request', resolve));
        const { port } = server.address() as AddressInfo;
        const made = await context(abort.signal);
        const resolving = resolveCommit({ url: `http://127.0.0.1:${port}/x`, revision: 'main' }, made);
        const failed = assert.rejects(resolving, /it took too long/);
        await reached;
        abort.abort(new Error('it took too long'));
        await failed;
      }
      assert.deepEqual(await readdir(join(world.dir, 'build/pids')), []);
      const nonsense = createServer((_request, response) => response.end('x'.repeat(100_000))).listen(0, '127.0.0.1');
      servers.push(nonsense);
      await new Promise((resolve) => nonsense.once('listening', resolve));
      const url = `http://127.0.0.1:${(nonsense.address() as AddressInfo).port}/x`;
      const failure = resolveCommit({ url, revision: 'main' }, await context());
      await assert.rejects(failure, { reason: /^Git/ });
    } finally {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    }
  });

  test('the password of an address is nowhere in what is said, as it was given or decoded', async () => {
    const password = 's3cr%2Fet%40x';
    const url = `http://kit:${password}@${new URL(git.url).host}/none/.git`;
    const redact = redactFor(url);
    const said = `could not read ${url}: s3cr/et@x, ${password}; also https://tok@a.example/x and git+ssh://u:p@b/c`;
    assert.doesNotMatch(redact(said), /s3cr|kit|tok@|u:p/);
    assert.match(redact(said), /127\.0\.0\.1.*https:\/\/\*\*\*@a\.example\/x and git\+ssh:\/\/\*\*\*@b\/c/);
    const odd = redactFor('https://u:p@ss/word@host/x');
    assert.doesNotMatch(odd('at https://u:p@ss/word@host/x, p@ss/word'), /p@ss|word/);
    // A step may print megabytes without a blank: what looks for addresses looks at each letter once.
    assert.equal(redact(`${'x'.repeat(4_000_000)} s3cr/et@x`).length, 4_000_004);
    assert.equal(redact('mail me: a@b.example, npm i @scope/x@1'), 'mail me: a@b.example, npm i @scope/x@1');
  });
});
