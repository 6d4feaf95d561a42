import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { chmod, mkdir, readFile, readlink, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { digestOf, mediaTypes } from '../../registry/index.ts';
import type { BuildFailure } from '../failure.ts';
import { withSource } from '../testing/source.ts';
import { type BuildWorld, openBuildWorld } from '../testing/world.ts';
import { fetchArtifact, uploadFolder } from './artifact.ts';
import { localSource } from './folder.ts';
import { ignoreRules } from './ignore.ts';
import { chunksOf } from './read-file.ts';
import { sourceDigest, subFolder } from './source.ts';
import { SourceWriter } from './writer.ts';

let world: BuildWorld;
const signal = new AbortController().signal;

describe('sources', () => {
  before(async () => {
    world = await openBuildWorld();
  });
  after(() => world.stop());

  const fails = (reason: string, message: RegExp) => (error: BuildFailure) => {
    assert.equal(error.reason, reason, error.message);
    assert.match(error.message, message);
    return true;
  };

  test('an uploaded folder comes back as it was, and equal folders have one digest', async () => {
    const files = { 'package.json': '{}', 'src/a.js': 'a', 'bin/run': '#!/bin/sh\n' };
    const [one, two] = [await world.folder(files), await world.folder(files)];
    for (const folder of [one, two]) {
      await chmod(join(folder, 'bin/run'), 0o755);
      await symlink('src/a.js', join(folder, 'link.js'));
      await mkdir(join(folder, 'node_modules/x'), { recursive: true });
      await writeFile(join(folder, 'node_modules/x/y.js'), folder);
    }
    const upload = (folder: string) =>
      uploadFolder({ folder, reference: 'registry.localhost/test/source', registry: world.client });
    const { image, digest } = await upload(one);
    assert.equal((await upload(two)).digest, digest);
    assert.equal(image, `registry.localhost/test/source@${digest}`);
    const source = await fetchArtifact(image, join(world.dir, 'unpacked'), world.client, signal);
    const { entries } = source;
    assert.deepEqual([...entries.keys()], ['bin/run', 'link.js', 'package.json', 'src/a.js']);
    assert.deepEqual(entries.get('link.js'), { type: 'symlink', target: 'src/a.js' });
    const run = entries.get('bin/run');
    assert.ok(run?.type === 'file' && run.isExecutable);
    assert.equal(sourceDigest(source), sourceDigest(await localSource(one)));
    assert.equal(await readlink(join(source.root, 'link.js')), 'src/a.js');
  });

  test('what .dockerignore names is not uploaded', async () => {
    const table: [string, string[], string[]][] = [
      ['*.log', ['a.log'], ['b/a.log', 'a.txt']],
      ['**/*.log', ['a.log', 'b/c/a.log'], ['a.txt']],
      ['dist', ['dist', 'dist/a/b'], ['distance', 'a/dist']],
      ['# comment\n\n/secret/\n', ['secret/key'], ['a/secret']],
      ['docs\n!docs/keep.md', ['docs/a.md'], ['docs/keep.md']],
      ['a?c', ['abc'], ['a/c', 'abbc']],
      ['', ['node_modules/a/b.js', 'x/node_modules/y', '.git/config'], ['src/node.ts']],
      ['a.b', ['a.b'], ['aXb']],
    ];
    for (const [rules, ignored, kept] of table) {
      const isIgnored = ignoreRules(rules);
      for (const path of ignored) assert.equal(isIgnored(path), true, `${rules}: ${path}`);
      for (const path of kept) assert.equal(isIgnored(path), false, `${rules}: ${path}`);
    }
    const folder = await world.folder({
      '.dockerignore': 'drafts\n!drafts/keep.md',
      'a.js': '',
      'drafts/a.md': '',
      'drafts/keep.md': '',
    });
    assert.deepEqual([...(await localSource(folder)).entries.keys()], ['.dockerignore', 'a.js', 'drafts/keep.md']);
  });

  test('a part of a source is bounded as the whole was', () => {
    const file = { type: 'file', sizeBytes: 1, isExecutable: false } as const;
    const entries = new Map(Array.from({ length: 50_001 }, (_, i) => [`fn/${i}.js`, file]));
    assert.equal(subFolder({ root: '/', entries }, 'fn').entries.size, entries.size);
  });

  test('a folder that is not there, a file, and an empty folder are said so', async () => {
    const folder = await world.folder({ 'a.js': '' });
    await assert.rejects(localSource(join(folder, 'none')), fails('SourceNotFound', /there is no folder .*none/));
    await assert.rejects(localSource(join(folder, 'a.js')), fails('SourceNotFound', /not a folder/));
    await assert.rejects(
      localSource(await world.folder({ 'node_modules/x.js': '' })),
      fails('SourceNotFound', /no files/),
    );
  });

  test('symbolic links out of the source and huge files are refused, with their path', async () => {
    const linked = await world.folder({ 'a.js': '' });
    await symlink('/etc/passwd', join(linked, 'passwd'));
    await assert.rejects(localSource(linked), fails('SourceInvalid', /passwd is a symbolic link out of the source/));
    const climbing = await world.folder({ 'a/b.js': '' });
    await symlink('../../x', join(climbing, 'a/up'));
    await assert.rejects(localSource(climbing), fails('SourceInvalid', /a\/up/));
    const huge = await world.folder({ 'big.bin': '' });
    await truncate(join(huge, 'big.bin'), 10 * 1024 ** 3);
    await assert.rejects(localSource(huge), fails('SourceTooLarge', /big\.bin has 10737418240 bytes.*\.dockerignore/));
  });

  test('what is no file is left out, and nothing in a folder is waited for', { timeout: 20_000 }, async () => {
    const folder = await world.folder({ 'a.js': 'a', 'line\nbreak.js': 'b', 'deep/\u001b[2J.js': 'c' });
    execFileSync('mkfifo', [join(folder, 'pipe'), join(folder, '.dockerignore')]);
    const socket = createServer().listen(join(folder, 'socket'));
    await once(socket, 'listening');
    await symlink('loop', join(folder, 'loop'));
    await symlink('pipe', join(folder, 'to-pipe'));
    await symlink('.', join(folder, 'deep/again'));
    try {
      const paths = ['a.js', 'deep/\u001b[2J.js', 'deep/again', 'line\nbreak.js', 'loop', 'to-pipe'];
      assert.deepEqual([...(await localSource(folder)).entries.keys()], paths);
    } finally {
      socket.close();
    }
  });

  test('a file that others go on writing is taken as long as it was when it was opened', async () => {
    const folder = await world.folder({ 'app.log': 'start' });
    const limits = {
      filesMax: 10,
      totalBytesMax: 100,
      // Asked once the size is known and before the file is read.
      get fileBytesMax() {
        appendFileSync(join(folder, 'app.log'), ' and more');
        return 100;
      },
    };
    const entry = (await localSource(folder, limits)).entries.get('app.log');
    assert.ok(entry?.type === 'file');
    const { chunks, close } = chunksOf(join(folder, 'app.log'), entry.sizeBytes);
    assert.equal(Buffer.concat([...chunks]).toString(), 'start');
    close();
    await truncate(join(folder, 'app.log'), 2);
    const shorter = chunksOf(join(folder, 'app.log'), entry.sizeBytes);
    assert.deepEqual([shorter.sizeBytes, Buffer.concat([...shorter.chunks]).toString()], [2, 'st']);
    shorter.close();
  });

  test('a folder of too many files is refused before they are read', async () => {
    const folder = await world.folder(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${i}.js`, 'x'])));
    const limits = { filesMax: 10, fileBytesMax: 100, totalBytesMax: 100 };
    await assert.rejects(localSource(folder, limits), fails('SourceTooLarge', /more than 10 files.*\.dockerignore/));
  });

  test('an artifact whose archive leaves its folder, links out of it or explodes is refused', async () => {
    type Header = Parameters<ReturnType<typeof pack>['entry']>[0];
    const pushed = async (...entries: [Header, string?][]) => {
      const archive = pack();
      for (const [header, text] of entries) archive.entry(header, text ?? '');
      archive.finalize();
      const chunks: Buffer[] = [];
      for await (const chunk of archive) chunks.push(chunk as Buffer);
      const content = gzipSync(Buffer.concat(chunks));
      const config = Buffer.from('{}');
      const descriptors = [mediaTypes.empty, mediaTypes.layerGzip].map((mediaType, i) => {
        const bytes = i === 0 ? config : content;
        return { mediaType, digest: digestOf(bytes), size: bytes.length };
      });
      const [configDescriptor, layer] = descriptors;
      assert.ok(configDescriptor && layer);
      const manifest = {
        schemaVersion: 2 as const,
        mediaType: mediaTypes.manifest,
        config: configDescriptor,
        layers: [layer],
      };
      const blobs = [
        { descriptor: configDescriptor, content: config },
        { descriptor: layer, content },
      ];
      const name = 'registry.localhost/test/evil';
      return `${name}@${await world.client.push(name, { manifest, blobs })}`;
    };
    const table: [string, RegExp, [Header, string?][]][] = [
      ['SourceInvalid', /"\.\.\/\.\.\/etc\/cron"/, [[{ name: '../../etc/cron' }, 'x']]],
      ['SourceInvalid', /"\/etc\/cron"/, [[{ name: '/etc/cron' }, 'x']]],
      ['SourceInvalid', /"a\/\.\.\/\.\.\/b"/, [[{ name: 'source/a/../../b' }, 'x']]],
      ['SourceInvalid', /\.git\/hooks/, [[{ name: 'source/.git/hooks/post-checkout' }, 'x']]],
      ['SourceInvalid', /a is a symbolic link out/, [[{ name: 'source/a', type: 'symlink', linkname: '/etc' }]]],
      [
        'SourceInvalid',
        /a\/b lies under a, which is not a folder/,
        [[{ name: 'source/a', type: 'symlink', linkname: 'c' }], [{ name: 'source/a/b' }, 'x']],
      ],
      ['SourceInvalid', /character-device/, [[{ name: 'source/dev', type: 'character-device' }]]],
      ['SourceTooLarge', /zeros has 300 bytes/, [[{ name: 'source/zeros' }, '0'.repeat(300)]]],
    ];
    const limits = { filesMax: 10, fileBytesMax: 200, totalBytesMax: 1000 };
    let count = 0;
    for (const [reason, message, entries] of table) {
      const image = await pushed(...entries);
      const folder = join(world.dir, `refused-${count++}`);
      await assert.rejects(fetchArtifact(image, folder, world.client, signal, limits), fails(reason, message));
    }
  });

  test('an artifact that the registry does not have is said so, with the remedy', async () => {
    const image = `registry.localhost/test/none@${digestOf('none')}`;
    await assert.rejects(
      fetchArtifact(image, join(world.dir, 'none'), world.client, signal),
      fails('SourceNotFound', /upload the folder again/),
    );
  });

  test('subPath makes a folder the root, and hides what is above it', () => {
    withSource({ 'a/b/index.js': '1', 'a/c.js': '2', 'ab/d.js': '3' }, (source) => {
      const paths = (subPath: string) => [...subFolder(source, subPath).entries.keys()];
      assert.deepEqual(paths('./a/'), ['b/index.js', 'c.js']);
      assert.deepEqual(paths('a/b'), ['index.js']);
      assert.equal(subFolder(source, 'a').root, join(source.root, 'a/'));
      assert.equal(subFolder(source, '.'), source);
      for (const path of ['none', '../', '/', '..']) {
        assert.throws(() => subFolder(source, path), fails('SubPathNotFound', /no folder/), path);
      }
    });
  });

  test('nothing is written through a link, and of two entries with one path the last one counts', async () => {
    const outside = await world.folder({ 'kept.txt': 'kept' });
    const root = join(world.dir, 'written');
    const writer = new SourceWriter(root);
    const text = (path: string, content: string) => writer.wholeFile(path, Buffer.from(content), false);
    writer.list.addSymlink('link', 'a');
    assert.throws(() => text('link/kept.txt', 'x'), fails('SourceInvalid', /lies under link, which is not a folder/));
    text('a/b', '1');
    assert.throws(() => text('a', 'x'), fails('SourceInvalid', /a\/b lies under a/));
    assert.throws(() => text('x'.repeat(300), ''), fails('SourceInvalid', /this machine cannot have a file "x+/));
    text('twice', 'a longer one');
    text('twice', 'second');
    text('becomes-link', 'x');
    writer.list.addSymlink('becomes-link', 'a/b');
    writer.list.addSymlink('becomes-file', 'a/b');
    text('becomes-file', 'y');
    const source = writer.finish();
    assert.equal(await readFile(join(root, 'twice'), 'utf8'), 'second');
    assert.equal(await readlink(join(root, 'becomes-link')), 'a/b');
    assert.equal(await readFile(join(root, 'becomes-file'), 'utf8'), 'y');
    assert.equal(await readFile(join(root, 'a/b'), 'utf8'), '1');
    assert.equal(source.entries.get('becomes-file')?.type, 'file');
    assert.equal(await readFile(join(outside, 'kept.txt'), 'utf8'), 'kept');
  });
});
