/** Images that are pushed and then asked to run: configurations as JSON text, and tars of their layers. */
import type { TestEntry } from '../../../src/cluster/node/testing/test-images.ts';

export interface Image {
  /** The configuration, or what it should be. */
  config?: unknown;
  /** In order: names may come twice. */
  entries?: readonly (readonly [name: string, entry: TestEntry])[];
  /** The layer's bytes, instead of entries. */
  layer?: Buffer;
  /** The manifest, instead of the one that fits. */
  manifest?: string;
}

const text = 'setInterval(() => {}, 1000)';
const config = (change: object) => ({ Entrypoint: ['node', 'main.mjs'], WorkingDir: '/app', ...change });
const layer = (...entries: (readonly [string, TestEntry])[]): Image => ({
  entries: [['app/main.mjs', text], ...entries],
});
const link = (linkname: string): TestEntry => ({ type: 'symlink', linkname });

export const images: Record<string, Image> = {
  'a configuration that is null': { config: null },
  'a configuration that is text': { config: 'x' },
  'variables that are an object': { config: config({ Env: {} }) },
  'variables of numbers': { config: config({ Env: [1, null, '=', 'A'] }) },
  'a variable with NUL': { config: config({ Env: ['A=a\0b'] }) },
  'a working directory of 5': { config: config({ WorkingDir: 5 }) },
  'a working directory of dots': { config: config({ WorkingDir: '../../../..' }) },
  'an entrypoint of text': { config: config({ Entrypoint: 'node main.mjs' }) },
  'an entrypoint of nothing': { config: config({ Entrypoint: [], Cmd: [] }) },
  'an entrypoint that is not there': { config: config({ Entrypoint: ['/nowhere'] }) },
  'an entrypoint with NUL': { config: config({ Entrypoint: ['no\0de'] }) },
  'a command of numbers': { config: config({ Cmd: [1, 2] }) },
  'ports that are a list': { config: config({ ExposedPorts: [80] }) },
  'a user that is an object': { config: config({ User: {} }) },
  'labels that are a list': { config: config({ Labels: ['a'] }) },
  'a stop signal of nonsense': { config: config({ StopSignal: 'SIGNOTHING' }) },
  'a stop signal of real time': { config: config({ StopSignal: 'SIGRTMIN' }) },
  'a stop signal of 5': { config: config({ StopSignal: 5 }) },
  'a manifest of nonsense': { manifest: '{"schemaVersion":2,"config":5,"layers":{}}' },
  'a manifest that is an index of itself': {
    manifest: '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}',
  },
  'a manifest 5,000 deep': { manifest: `${'['.repeat(5_000)}${']'.repeat(5_000)}` },
  'a layer that is no tar': { layer: Buffer.from('this is no tar at all'.repeat(100)) },
  'a layer of zeros': { layer: Buffer.alloc(1_000_000) },
  'a layer that stops': { layer: Buffer.alloc(700, 0x61) },
  'a whiteout of the folder above': layer(['.wh...', '']),
  'a whiteout of nothing': layer(['.wh.', ''], ['app/.wh.', '']),
  'a whiteout of itself': layer(['.wh..', '']),
  'an opaque root': layer(['.wh..wh..opq', '']),
  'a name of dots': layer(['../../../hostile-escape', 'x']),
  'an absolute name': layer(['/tmp/hostile-absolute', 'x']),
  'a link out, and through it': layer(['out', link('/tmp')], ['out/hostile-through', 'x']),
  'a link of dots, and through it': layer(['up', link('../../../../../../tmp')], ['up/hostile-up', 'x']),
  'a link to itself': layer(['loop', link('loop')], ['loop/x', 'x']),
  'links in a circle': layer(['a', link('b')], ['b', link('a')], ['a/b/c', 'x']),
  'a hard link to outside': layer(['hard', { type: 'link', linkname: '../../../etc/passwd' }]),
  'a hard link to nothing': layer(['hard', { type: 'link', linkname: 'nowhere' }]),
  'a pipe where the program is': { entries: [['app/main.mjs', { type: 'fifo' }]] },
  'a folder where the program is': { entries: [['app/main.mjs', { type: 'directory' }]] },
  'a file, then a folder, then a file': layer(['x', 'a'], ['x', { type: 'directory' }], ['x/y', 'b'], ['x', 'c']),
  'names of prototypes': layer(['__proto__', 'x'], ['constructor/prototype', 'x']),
  'a name of 4 kB': layer([`${'d/'.repeat(2_000)}x`, 'x']),
  'a program that cannot be stopped': { entries: [['app/main.mjs', `process.on('SIGTERM', () => {}); ${text}`]] },
  'a program that prints without end': {
    entries: [['app/main.mjs', "for (let i = 0; i < 2e4; i++) process.stdout.write('x'.repeat(1024));"]],
  },
};
