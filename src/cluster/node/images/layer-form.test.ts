import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  createReadStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { hasProgram } from '../../../lib/testing/programs.ts';
import { type RawEntry, rawTar } from '../testing/raw-tar.ts';
import type { UnpackedLayer } from './image.ts';
import { readImageFile } from './image-file.ts';
import { mergeLayers } from './merge.ts';
import { removeTree } from './remove-tree.ts';
import { unpackLayer } from './unpack.ts';

const isRoot = process.geteuid?.() === 0;
const gnuTar = spawnSync('tar', ['--version']).stdout?.toString().includes('GNU tar') === true;
const skip = !isRoot ? 'left out: only root makes devices' : gnuTar ? false : 'left out: it needs GNU tar';
const skipXattrs = skip || (hasProgram('getfattr') ? false : 'left out: getfattr is not installed (apt install attr)');

describe('the form of a layer on the disk', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-form-'));
  });
  afterEach(() => removeTree(dir));

  async function unpack(entries: readonly RawEntry[], isExact = isRoot): Promise<UnpackedLayer> {
    const root = join(dir, `layer-${readdirSync(dir).length}`);
    mkdirSync(root);
    const blobPath = `${root}.tar`;
    writeFileSync(blobPath, rawTar(entries));
    const mediaType = 'application/vnd.oci.image.layer.v1.tar';
    const bounds = { maxBytes: 1e6, maxEntries: 1000 };
    const unpacked = await unpackLayer(createReadStream(blobPath), {
      ...{ mediaType, target: root, diffId: undefined, isExact },
      ...bounds,
    });
    return { digest: '', root, ...unpacked };
  }

  const stat = (layer: UnpackedLayer, path: string) => lstatSync(join(layer.root, path));
  const attributes = (layer: UnpackedLayer, path: string) =>
    execFileSync('getfattr', ['-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', join(layer.root, path)])
      .toString()
      .split('\n')
      .filter((line) => line.includes('='))
      .sort();

  /** cap_net_raw+ep, as the kernel keeps it. */
  const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');

  test('owners, modes, devices, pipes and links are as the layer says', { skip }, async () => {
    const layer = await unpack([
      { name: './', type: '5', mode: 0o751, uid: 3, gid: 4, mtime: 1_000 },
      { name: 'tmp', type: '5', mode: 0o1777, mtime: 2_000 },
      { name: 'tmp/su', mode: 0o4755, uid: 1000, gid: 1001, content: 'x', mtime: 3_000 },
      { name: 'tmp/su2', type: '1', linkName: 'tmp/su' },
      { name: 'locked', type: '5', mode: 0 },
      { name: 'locked/secret', mode: 0, content: 's' },
      { name: 'open', mode: 0o666, content: '' },
      { name: 'group', mode: 0o2770, uid: 7, gid: 3_000_000_000, content: '' },
      { name: 'null', type: '3', mode: 0o666, major: 1, minor: 3 },
      { name: 'null2', type: '1', linkName: 'null' },
      { name: 'disk', type: '4', mode: 0o660, gid: 6, major: 259, minor: 300 },
      { name: 'pipe', type: '6', mode: 0o622, uid: 9 },
      { name: 'link', type: '2', linkName: '../../etc/passwd', uid: 5, gid: 6, mtime: 4_000 },
      { name: 'link2', type: '1', linkName: 'link' },
    ]);
    const facts = (path: string) => {
      const { mode, uid, gid } = stat(layer, path);
      return [(mode & 0o7777).toString(8), uid, gid];
    };
    assert.deepEqual(facts(''), ['751', 3, 4]);
    assert.deepEqual(facts('tmp'), ['1777', 0, 0]);
    assert.deepEqual(facts('tmp/su'), ['4755', 1000, 1001]);
    assert.equal(stat(layer, 'tmp/su2').ino, stat(layer, 'tmp/su').ino);
    assert.deepEqual(
      [facts('locked'), facts('locked/secret')],
      [
        ['0', 0, 0],
        ['0', 0, 0],
      ],
    );
    assert.deepEqual(
      [facts('open'), facts('group')],
      [
        ['666', 0, 0],
        ['2770', 7, 3_000_000_000],
      ],
    );
    const device = execFileSync('stat', ['-c', '%F %t:%T', join(layer.root, 'null'), join(layer.root, 'disk')]);
    assert.equal(device.toString(), 'character special file 1:3\nblock special file 103:12c\n');
    assert.equal(stat(layer, 'null2').ino, stat(layer, 'null').ino);
    assert.deepEqual([stat(layer, 'pipe').isFIFO(), facts('pipe')], [true, ['622', 9, 0]]);
    assert.deepEqual([readlinkSync(join(layer.root, 'link')), stat(layer, 'link').uid], ['../../etc/passwd', 5]);
    assert.equal(stat(layer, 'link2').ino, stat(layer, 'link').ino);
    const times = ['', 'tmp', 'tmp/su', 'link'].map((path) => stat(layer, path).mtimeMs / 1000);
    assert.deepEqual(times, [1_000, 2_000, 3_000, 4_000]);
    assert.equal(layer.lacks, undefined);
  });

  test('whiteouts are devices 0:0, and folders that hide others have the attribute', { skip: skipXattrs }, async () => {
    const layer = await unpack([
      { name: 'a/', type: '5', mode: 0o700, uid: 8, mtime: 5_000 },
      { name: 'a/.wh.gone' },
      { name: 'a/.wh.replaced' },
      { name: 'a/replaced', content: 'new' },
      { name: 'a/renewed/', type: '5', mode: 0o711 },
      { name: 'a/renewed/file', content: 'new' },
      { name: 'a/.wh.renewed' },
      { name: 'opaque/.wh..wh..opq' },
      { name: 'opaque/kept', content: 'new' },
    ]);
    const { rdev } = stat(layer, 'a/gone');
    assert.deepEqual([stat(layer, 'a/gone').isCharacterDevice(), rdev], [true, 0]);
    assert.equal(readFileSync(join(layer.root, 'a/replaced'), 'utf8'), 'new');
    const opaque = ['trusted.overlay.opaque=0x79'];
    assert.deepEqual(attributes(layer, 'opaque'), opaque);
    assert.deepEqual(attributes(layer, 'a/renewed'), opaque);
    assert.deepEqual(attributes(layer, 'a'), []);
    const { mode, uid, mtimeMs } = stat(layer, 'a');
    assert.deepEqual([mode & 0o7777, uid, mtimeMs], [0o700, 8, 5_000_000]);
    assert.equal(stat(layer, 'a/renewed').mode & 0o7777, 0o711);
    assert.deepEqual(layer.implicit, ['opaque']);
  });

  test('overlayfs shows what the layers say', { skip: skipXattrs }, async (t) => {
    const lower = await unpack([
      { name: 'a/gone', content: '1' },
      { name: 'a/kept', content: '2' },
      { name: 'b/hidden', content: '3' },
      { name: 'c/old', content: '4' },
    ]);
    const upper = await unpack([
      { name: 'a/.wh.gone' },
      { name: 'b/.wh..wh..opq' },
      { name: 'b/new', content: '5' },
      { name: '.wh.c' },
      { name: 'c/new', content: '6' },
    ]);
    const at = join(dir, 'merged');
    mkdirSync(at);
    const script = 'mount -t overlay overlay -o "lowerdir=$1" "$2" && cd "$2" && find . -type f | sort';
    const lowerDirs = `${upper.root}:${lower.root}`;
    const ran = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', lowerDirs, at]);
    if (ran.status !== 0) return t.skip(`left out: overlay cannot be mounted here: ${ran.stderr}`);
    assert.equal(ran.stdout.toString(), './a/kept\n./b/new\n./c/new\n');
    mergeLayers([lower, upper], join(dir, 'copied'));
    const copied = execFileSync('sh', ['-c', 'cd "$1" && find . -type f | sort', 'sh', join(dir, 'copied')]);
    assert.equal(copied.toString(), ran.stdout.toString());
  });

  test('extended attributes are kept, but for those that would steer overlayfs', { skip: skipXattrs }, async () => {
    const bytes = Buffer.from([0, 0xff, 0x0a, 0x3d, 0x80]);
    const layer = await unpack([
      {
        name: 'ping',
        mode: 0o755,
        uid: 5,
        content: 'program',
        mtime: 6_000,
        xattrs: {
          'security.capability': capability,
          'user.odd': bytes,
          'trusted.overlay.redirect': '/etc',
          'user.overlay.opaque': 'y',
        },
      },
      { name: 'again', type: '1', linkName: 'ping' },
      { name: 'folder', type: '5', mode: 0o755, xattrs: { 'user.a': 'b', 'trusted.overlay.opaque': 'y' } },
      { name: 'replaced', content: 'x', xattrs: { 'user.a': 'b' } },
      { name: 'replaced', content: 'y' },
      { name: 'gone', content: 'x', xattrs: { 'user.a': 'b' } },
      { name: 'gone', type: '2', linkName: '/etc/hostname' },
    ]);
    const hex = (value: Buffer) => `0x${value.toString('hex')}`;
    const expected = [`security.capability=${hex(capability)}`, `user.odd=${hex(bytes)}`];
    assert.deepEqual(attributes(layer, 'ping'), expected);
    assert.deepEqual(attributes(layer, 'again'), expected);
    assert.equal(readFileSync(join(layer.root, 'ping'), 'utf8'), 'program');
    const { uid, mode, mtimeMs } = stat(layer, 'ping');
    assert.deepEqual([uid, mode & 0o7777, mtimeMs], [5, 0o755, 6_000_000]);
    assert.deepEqual(attributes(layer, 'folder'), ['user.a=0x62']);
    assert.deepEqual(attributes(layer, 'replaced'), []);
    assert.equal(readFileSync(join(layer.root, 'replaced'), 'utf8'), 'y');
    assert.ok(stat(layer, 'gone').isSymbolicLink());
  });

  test('names need not be text', {
    skip: process.platform !== 'linux' && 'left out: elsewhere they must be',
  }, async () => {
    const name = Buffer.from([0x6e, 0xff, 0xc3, 0xa9, 0x80]);
    const layer = await unpack([
      { name, content: 'x' },
      { name: Buffer.concat([Buffer.from('l'), name]), type: '2', linkName: name },
    ]);
    const names = readdirSync(layer.root, { encoding: 'buffer' });
    assert.deepEqual(names, [Buffer.concat([Buffer.from('l'), name]), name]);
    const link = Buffer.concat([Buffer.from(`${layer.root}/l`), name]);
    assert.deepEqual(readlinkSync(link, { encoding: 'buffer' }), name);
  });

  test('a later entry takes the place of an earlier one, whatever they are', { skip }, async () => {
    const layer = await unpack([
      { name: 'a/deep/file', content: '1' },
      { name: 'a', type: '3', major: 1, minor: 3 },
      { name: 'b', type: '6' },
      { name: 'b/file', content: '2' },
      { name: 'c', type: '3', major: 1, minor: 3 },
      { name: 'c', content: '3' },
      { name: 'd', type: '2', linkName: '/tmp' },
      { name: 'd/', type: '5', mode: 0o700 },
      { name: 'd/file', content: '4' },
    ]);
    const kinds = readdirSync(layer.root).map((name) => {
      const found = stat(layer, name);
      return found.isDirectory() ? 'folder' : found.isFile() ? 'file' : found.isCharacterDevice() ? 'device' : '?';
    });
    assert.deepEqual(kinds, ['device', 'folder', 'file', 'folder']);
    assert.equal(existsSync('/tmp/file'), false);
  });

  for (const [what, entries] of Object.entries<RawEntry[]>({
    'a device through a link': [
      { name: 'way', type: '2', linkName: '/dev/shm' },
      { name: 'way/null', type: '3', major: 1, minor: 3 },
    ],
    'a whiteout through a link': [{ name: 'way', type: '2', linkName: '..' }, { name: 'way/.wh.outside' }],
    'a hard link through a link': [
      { name: 'way', type: '2', linkName: '/etc' },
      { name: 'stolen', type: '1', linkName: 'way/passwd' },
    ],
    'a device above': [{ name: '../null', type: '3', major: 1, minor: 3 }],
    'a name with a NUL': [{ name: 'a\0b', content: 'x', isPax: true }],
    'a root that is a link': [{ name: './', type: '2', linkName: '/etc' }],
    'a hard link to a folder': [
      { name: 'a/', type: '5' },
      { name: 'b', type: '1', linkName: 'a' },
    ],
    'a hard link in the place of what it leads to': [
      { name: 'a/file', content: '' },
      { name: 'a', type: '1', linkName: 'a/file' },
    ],
    'an owner that there cannot be': [{ name: 'a', content: '', uid: 2 ** 33 }],
  })) {
    test(`${what} is refused, and nothing is written outside`, { skip }, async () => {
      writeFileSync(join(dir, 'outside'), 'kept');
      await assert.rejects(unpack(entries), /refused|no file of the same layer|no folder of the layer|must be 0 to/);
      assert.equal(readFileSync(join(dir, 'outside'), 'utf8'), 'kept');
      assert.equal(existsSync('/dev/shm/null'), false);
    });
  }

  test('who is not root gets the files as their own, without devices and setuid bits', async () => {
    const layer = await unpack(
      [
        { name: 'folder/', type: '5', mode: 0o555, uid: 1000 },
        { name: 'folder/su', mode: 0o4111, uid: 1000, content: 'x' },
        { name: 'null', type: '3', major: 1, minor: 3 },
      ],
      false,
    );
    assert.deepEqual(readdirSync(layer.root), ['folder']);
    assert.equal(stat(layer, 'folder').mode & 0o7777, 0o755);
    const { mode, uid } = stat(layer, 'folder/su');
    assert.deepEqual([mode & 0o7777, uid], [0o511, process.geteuid?.()]);
  });

  test('who is not root has whiteouts and folders that hide others, too', { skip: skipXattrs }, async (t) => {
    const blob = join(dir, 'blob');
    const root = join(dir, 'of-nobody');
    mkdirSync(root);
    for (const path of [dir, root]) chownSync(path, 65_534, 65_534);
    const xattrs = { 'user.note': 'kept', 'security.capability': capability };
    writeFileSync(
      blob,
      rawTar([{ name: 'a/.wh.gone' }, { name: 'b/.wh..wh..opq' }, { name: 'b/file', content: 'x', uid: 5, xattrs }]),
    );
    const script = `
      import { createReadStream } from 'node:fs';
      import { unpackLayer } from ${JSON.stringify(new URL('./unpack.ts', import.meta.url))};
      const options = { mediaType: 'layer.tar', target: ${JSON.stringify(root)}, maxBytes: 1e6, maxEntries: 99 };
      const { lacks } = await unpackLayer(createReadStream(${JSON.stringify(blob)}), options);
      if (lacks) throw new Error(lacks);`;
    const asNobody = { uid: 65_534, gid: 65_534 };
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], { ...asNobody, cwd: dir });
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(`${ran.error} ${ran.stderr}`))
      return t.skip('left out: nobody may read this');
    assert.equal(ran.status, 0, String(ran.stderr));
    const layer = { root, digest: '', whiteouts: [], opaques: [], implicit: [], sizeBytes: 0 };
    const { rdev, uid } = stat(layer, 'a/gone');
    assert.deepEqual([stat(layer, 'a/gone').isCharacterDevice(), rdev, uid], [true, 0, 65_534]);
    assert.deepEqual(attributes(layer, 'b'), ['user.overlay.opaque=0x79']);
    assert.deepEqual([attributes(layer, 'b/file'), stat(layer, 'b/file').uid], [['user.note=0x6b657074'], 65_534]);
  });

  test('a working copy holds no setuid programs and no devices', { skip }, async () => {
    const layer = await unpack([
      { name: 'su', mode: 0o6755, uid: 1000, content: 'x' },
      { name: 'null', type: '3', major: 1, minor: 3 },
      { name: '.wh.gone' },
    ]);
    mergeLayers([layer], join(dir, 'copy'));
    assert.deepEqual(readdirSync(join(dir, 'copy')), ['su']);
    const { mode, uid } = lstatSync(join(dir, 'copy/su'));
    assert.deepEqual([mode & 0o7777, uid], [0o755, 0]);
    chmodSync(join(dir, 'copy/su'), 0o600);
  });

  describe('a file of an image', () => {
    const read = async (layers: UnpackedLayer[], path: string) => (await readImageFile({ layers }, path))?.toString();

    test('is that of the highest layer, unless it is removed or hidden above', async () => {
      const lower = await unpack([
        { name: 'etc/passwd', content: 'low' },
        { name: 'etc/group', content: 'group' },
        { name: 'opt/file', content: 'opt' },
        { name: 'var/file', content: 'var' },
      ]);
      const upper = await unpack([
        { name: 'etc/passwd', content: 'high' },
        { name: 'etc/.wh.group' },
        { name: 'opt/.wh..wh..opq' },
        { name: '.wh.var' },
      ]);
      assert.equal(await read([lower], '/etc/passwd'), 'low');
      assert.equal(await read([lower, upper], '/etc/passwd'), 'high');
      for (const path of ['/etc/group', 'opt/file', '/var/file', '/etc', '/none', '/etc/passwd/x', '/etc/passwd/..']) {
        assert.equal(await read([lower, upper], path), undefined, path);
      }
      const again = await unpack([{ name: 'var/file', content: 'again' }]);
      assert.equal(await read([lower, upper, again], '/var/file'), 'again');
      assert.equal(await read([lower, upper, again], '/opt/../var/./file'), 'again');
    });

    test('is found through links, and they never lead out of the image', async () => {
      const lower = await unpack([
        { name: 'etc', type: '2', linkName: '/real/etc' },
        { name: 'up', type: '2', linkName: '../../../../../../../../etc/hostname' },
        { name: 'loop', type: '2', linkName: 'loop' },
        { name: 'host', type: '2', linkName: '/etc' },
      ]);
      const upper = await unpack([{ name: 'real/etc/passwd', content: 'found' }]);
      assert.equal(await read([lower, upper], '/etc/passwd'), 'found');
      for (const path of ['up', 'loop', 'etc/hostname', 'host/hostname']) {
        assert.equal(await read([lower, upper], path), undefined, path);
      }
      // A folder in the place of a link: what the link below leads to is the machine's.
      const folder = await unpack([{ name: 'host/mine', content: 'mine' }]);
      assert.equal(await read([lower, folder], 'host/mine'), 'mine');
      assert.equal(await read([lower, folder], 'host/hostname'), undefined);
    });
  });
});
