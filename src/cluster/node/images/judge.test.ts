import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { systemClock } from '../../../lib/clock.ts';
import { hasProgram } from '../../../lib/testing/programs.ts';
import { silentLogger } from '../../../observe/log.ts';
import { digestOf, mediaTypes } from '../../../registry/index.ts';
import { type RawEntry, rawTar } from '../testing/raw-tar.ts';
import { openTestRegistry, type TestRegistry } from '../testing/test-images.ts';
import { Files } from './files.ts';
import { removeTree } from './remove-tree.ts';
import { ImageStore } from './store.ts';

const missing = ['skopeo', 'umoci', 'getfattr', 'tar', 'unshare'].filter((program) => !hasProgram(program));
const skip =
  process.geteuid?.() !== 0
    ? 'left out: only root makes devices and owners'
    : missing.length > 0 && `left out: it needs ${missing.join(', ')} (Debian: apt install skopeo umoci attr)`;

/** Each path of the folder with all that there is to say about it, a line each; files that are one by their first. */
const describeTree = `
cd "$1" || exit 1
export LC_ALL=C
find . -mindepth 1 -printf '%P|%y|%m|%U:%G|%l|%Ts\\n' | sort
echo == devices; find . \\( -type b -o -type c \\) -exec stat -c '%n %t:%T' {} + | sort
echo == content; find . -type f -exec sha256sum {} + | sort -k 2
echo == one; find . -type f -links +1 -printf '%i %P\\n' | sort -k 2 |
  awk '{ if (seen[$1]) print seen[$1], $2; else seen[$1] = $2 }'
echo == attributes; getfattr -R -P -h -d -m - -e hex . 2>/dev/null
`;

describe('what we unpack is what others unpack', { skip }, () => {
  let registry: TestRegistry;
  let dir: string;
  let files: Files;
  before(async () => {
    registry = await openTestRegistry();
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-judge-'));
    files = new Files(systemClock);
  });
  after(async () => {
    await files?.close();
    await registry?.stop();
    if (dir) removeTree(dir);
  });

  /** Pushes the layers as an image, and returns the tree that a container would see, and that of umoci. */
  async function bothTrees(name: string, tars: readonly Buffer[]): Promise<{ ours: string; others: string }> {
    const blob = (content: Buffer, mediaType: string) => ({
      descriptor: { mediaType, digest: digestOf(content), size: content.length },
      content,
    });
    const rootfs = { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) };
    const config = blob(
      Buffer.from(JSON.stringify({ os: 'linux', architecture: 'amd64', config: {}, rootfs })),
      mediaTypes.config,
    );
    const layers = tars.map((tar) => blob(gzipSync(tar), mediaTypes.layerGzip));
    const descriptors = layers.map(({ descriptor }) => descriptor);
    const manifest = {
      schemaVersion: 2 as const,
      mediaType: mediaTypes.manifest,
      config: config.descriptor,
      layers: descriptors,
    };
    const reference = `registry.localhost/judge/${name}:v1`;
    const digest = await registry.client.push(reference, { manifest, blobs: [config, ...layers] });

    const store = await ImageStore.open({
      ...{ dir: join(dir, `${name}-store`), source: registry.client, files },
      ...{ clock: systemClock, log: silentLogger },
    });
    const image = await store.pull(`registry.localhost/judge/${name}@${digest}`);
    for (const layer of image.layers) assert.equal(layer.lacks, undefined);
    const lower = [...image.layers.map(({ root }) => root)].reverse();
    const at = join(dir, `${name}-ours`);
    const empty = join(dir, `${name}-empty`);
    for (const folder of [at, empty]) mkdirSync(folder);
    // One more below, as an overlay without a place to write to has two at least.
    const mount = `mount -t overlay overlay -o "lowerdir=$2" "$1"\n${describeTree}`;
    const options = [...lower, empty].join(':');
    const seen = spawnSync('unshare', ['--mount', 'sh', '-c', mount, 'sh', at, options], { maxBuffer: 1e9 });
    assert.equal(seen.status, 0, seen.stderr.toString());

    const run = promisify(execFile);
    const from = `docker://${registry.url.replace('http://', '')}/judge/${name}@${digest}`;
    const layout = join(dir, `${name}-layout`);
    await run('skopeo', ['--insecure-policy', 'copy', '--src-tls-verify=false', from, `oci:${layout}:v1`]);
    await run('umoci', ['unpack', '--image', `${layout}:v1`, join(dir, `${name}-umoci`)]);
    const others = execFileSync('sh', ['-c', describeTree, 'sh', join(dir, `${name}-umoci/rootfs`)], {
      maxBuffer: 1e9,
    });
    return { ours: seen.stdout.toString(), others: others.toString() };
  }

  /** What real programs make, in a tar of GNU's. */
  function tarOfScript(name: string, script: string): Buffer {
    const root = join(dir, name);
    mkdirSync(root);
    execFileSync('sh', ['-e', '-c', script], { cwd: root });
    const tar = `${root}.tar`;
    const xattrs = ['--xattrs', '--xattrs-include=*'];
    execFileSync('tar', ['-C', root, '--format=pax', '--numeric-owner', ...xattrs, '-cf', tar, '.']);
    return readFileSync(tar);
  }

  test('of every kind of file, with owners, modes, times, links, devices and attributes', async () => {
    const tar = tarOfScript(
      'kinds',
      `mkdir -p etc/app usr/bin usr/lib dev tmp 'with space/and "quotes"' locked
      echo one > etc/one; echo two > etc/app/two; : > etc/empty
      head -c 3000000 /dev/urandom > usr/lib/large
      ln -s ../lib/large usr/bin/relative; ln -s /etc/one usr/bin/absolute; ln -s /none usr/bin/dangling
      ln usr/lib/large usr/bin/hard; ln usr/lib/large etc/hard
      mknod dev/null c 1 3; mknod dev/disk b 259 300; mkfifo tmp/pipe; ln dev/null dev/zero
      cp /bin/true usr/bin/su; chown 0:42 usr/bin/su; chmod 6755 usr/bin/su
      cp /bin/true usr/bin/ping
      setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/bin/ping
      setfattr -n user.note -v 0x00ff0a3d etc/one; setfattr -n user.folder -v yes etc/app; ln usr/bin/ping usr/bin/ping6
      chmod 1777 tmp; chmod 0 locked; chmod 600 etc/one; chown -R 1000:1001 etc/app; chown 65534:65534 'with space'
      chown -h 7:8 usr/bin/dangling; chmod 2775 usr/lib; chown 3000000000:3000000000 etc/empty
      name=$(printf 'n%.0s' $(seq 200)); mkdir -p "deep/$name/$name"; echo deep > "deep/$name/$name/$name"
      ln -s "$name/$name/$name/$name" deep/link; echo u > 'grün 日本'; touch -d '1969-12-31 12:00 UTC' etc/one
      touch -d '2001-02-03 04:05:06 UTC' usr etc/app usr/bin/hard; echo odd > "$(printf 'latin\\351')"`,
    );
    const { ours, others } = await bothTrees('kinds', [tar]);
    assert.equal(ours, others);
    assert.match(ours, /security\.capability=0x01000002/);
    assert.match(ours, /usr\/bin\/su\|f\|6755\|0:42/);
  });

  test('of layers that remove, hide and replace, and of folders that only the lower ones describe', async () => {
    const time = 1_234_567_890;
    const folder = (name: string, more: Partial<RawEntry> = {}): RawEntry => {
      return { name: `${name}/`, type: '5', mode: 0o755, mtime: time, ...more };
    };
    const file = (name: string, more: Partial<RawEntry> = {}): RawEntry => {
      return { name, content: name, mtime: time, ...more };
    };
    const first: RawEntry[] = [
      folder('etc', { mode: 0o750, uid: 5, gid: 6 }),
      folder('etc/app', { mode: 0o2700, uid: 7 }),
      folder('etc/app/deep', { mode: 0o711, gid: 9 }),
      ...[file('etc/app/kept'), file('etc/app/gone'), file('etc/changed', { mode: 0o600 })],
      ...[folder('var', { mode: 0o1777 }), file('var/gone'), folder('var/lib', { uid: 3 }), file('var/lib/gone')],
      ...[folder('opt', { gid: 4 }), file('opt/gone'), folder('opt/sub'), file('opt/sub/gone')],
      ...[
        folder('was-folder'),
        file('was-folder/gone'),
        file('was-file'),
        { ...file('was-link'), type: '2', linkName: 'etc', content: '' },
      ],
      ...[
        folder('srv', { uid: 11 }),
        file('srv/x'),
        { ...file('srv/hard'), type: '1', linkName: 'srv/x', content: '' },
      ],
    ];
    const second: RawEntry[] = [
      ...[file('etc/app/deep/new'), file('etc/app/.wh.gone'), file('etc/changed', { mode: 0o4711, uid: 8 })],
      ...[file('.wh.var'), file('opt/.wh..wh..opq'), file('opt/new')],
      ...[file('was-folder'), folder('was-file'), file('was-file/new'), folder('was-link', { mode: 0o700 })],
      file('srv/.wh.x'),
    ];
    const third: RawEntry[] = [
      ...[
        folder('etc/app', { mode: 0o777, uid: 1 }),
        file('etc/app/deep/third'),
        file('var/lib/anew'),
        file('.wh.opt'),
      ],
      ...[folder('opt', { mode: 0o555 }), file('opt/third'), file('etc/app/.wh.kept'), file('was-link/in')],
    ];
    const { ours, others } = await bothTrees('layers', [first, second, third].map(rawTar));
    // Writing into a folder changes its time: unpackers differ in whether they set it back.
    const withoutTimes = (text: string) => text.replace(/^(.*\|d\|.*)\|-?\d+$/gm, '$1');
    assert.equal(withoutTimes(ours), withoutTimes(others));
    assert.match(ours, /^etc\/app\/deep\|d\|711\|0:9/m);
  });
});
