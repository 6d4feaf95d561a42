import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BuildFailure } from '../../failure.ts';
import { SourceList } from '../../source/source.ts';
import { withSource } from '../../testing/source.ts';
import { readPackageJson } from './package-json.ts';
import { decideStart, exportsHandle } from './start.ts';

const read = (text: string) => withSource({ 'package.json': text }, readPackageJson);

const fails = (message: RegExp, reason = 'SourceInvalid') => {
  return (error: BuildFailure) => {
    assert.equal(error.reason, reason, error.stack);
    assert.match(error.message, message);
    return true;
  };
};

test('a field of the wrong type is said with the file, the field, the value and what it must be', () => {
  const table: [unknown, RegExp][] = [
    [{ scripts: { start: 5 } }, /^package\.json: scripts\.start is 5: must be a text/],
    [{ scripts: { build: {} } }, /scripts\.build is \{\}: must be a text/],
    [{ scripts: { start: ['node', 'a'] } }, /scripts\.start is \["node","a"\]/],
    [{ scripts: 'start' }, /scripts is "start": must be an object, as in \{"start": "node server\.js"\}/],
    [{ scripts: [] }, /scripts is \[\]/],
    [{ scripts: { 'a b': 1 } }, /scripts\["a b"\] is 1/],
    [{ scripts: { start: 'node a\0b' } }, /scripts\.start is "node a\\u0000b": must not hold a NUL/],
    [{ main: {} }, /main is \{\}/],
    [{ name: 1 }, /name is 1/],
    [{ type: true }, /type is true/],
    [{ dependencies: [] }, /dependencies is \[\]: must be an object, as in \{"ms": "2\.1\.3"\}/],
    [{ dependencies: { ms: 2 } }, /dependencies\.ms is 2/],
    [{ devDependencies: 'ms' }, /devDependencies is "ms"/],
    [{ optionalDependencies: { '@a/b': null } }, /optionalDependencies\["@a\/b"\] is null/],
    [{ peerDependencies: 1 }, /peerDependencies is 1/],
    [{ engines: 3 }, /engines is 3: must be an object, as in \{"node": ">=20"\}/],
    [{ engines: { node: 20 } }, /engines\.node is 20/],
    [{ workspaces: 7 }, /workspaces is 7: must be a list of texts, as in \["packages\/\*"\]/],
    [{ workspaces: [7] }, /workspaces\[0\] is 7/],
    [{ workspaces: { packages: 7 } }, /workspaces\.packages is 7/],
    [{ bin: 5 }, /bin is 5/],
    [{ bin: { a: [] } }, /bin\.a is \[\]/],
    [{ exports: 5 }, /exports is 5/],
    [{ packageManager: { name: 'npm' } }, /packageManager is \{"name":"npm"\}/],
    [{ packageManager: 'pnpm@https://evil.example/x.tgz' }, /must be as in "pnpm@10\.4\.1"/],
    [{ bundleDependencies: 'ms' }, /bundleDependencies is "ms"/],
    [{ main: 'x'.repeat(1000), name: ['y'.repeat(1000)] }, /name is \["y{10,60}…/],
    [[], /^package\.json is \[\]: it must be a JSON object/],
    [null, /^package\.json is null/],
    ['text', /^package\.json is "text"/],
    [5, /^package\.json is 5/],
  ];
  for (const [value, message] of table) assert.throws(() => read(JSON.stringify(value)), fails(message));
  assert.throws(() => read('{"a": 1,\n}'), fails(/package\.json is not JSON: .* \(line 2\)/));
  assert.throws(() => read(''), fails(/package\.json is not JSON/));
  assert.throws(() => read(`{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`), fails(/nests too deeply/));
  assert.throws(() => read(`{"a":"${'x'.repeat(5_000_000)}"}`), fails(/package\.json has \d+ bytes/, 'SourceTooLarge'));
});

test('what npm and Node take is taken: a byte order mark, null for nothing, old forms', () => {
  assert.equal(read('\uFEFF{"main":"a.js"}').main, 'a.js');
  assert.deepEqual(read('{"main":null,"scripts":null,"dependencies":null}'), {});
  for (const good of [
    { workspaces: { packages: ['a/*'], nohoist: ['**'] } },
    { bin: './a.js', engines: ['node >= 0.8'], bundleDependencies: true, exports: [{ import: './a.js' }] },
    { scripts: {}, dependencies: {}, exports: { '.': './a.js' }, constructor: 5 },
  ]) {
    assert.deepEqual(read(JSON.stringify(good)), good);
  }
  assert.deepEqual(Object.keys(read('{"__proto__":{"scripts":{"start":"x"}}}')), ['__proto__']);
  assert.equal(read('{"__proto__":{"scripts":{"start":"x"}}}').scripts, undefined);
});

test('func.yaml of the wrong kind is said so', () => {
  const plan = (text: string) => {
    const files = { 'func.yaml': text, 'index.js': 'exports.handle = 1' };
    return withSource(files, (source) => decideStart(source, readPackageJson(source)));
  };
  assert.throws(() => plan('[]'), fails(/func\.yaml is \[\]: it must be a map/));
  assert.throws(() => plan('text'), fails(/func\.yaml is "text"/));
  assert.throws(() => plan('invoke: 5'), fails(/invoke is 5: must be http or cloudevent/));
  assert.throws(() => plan('invoke: ["http"]'), fails(/invoke is \["http"\]/));
  assert.throws(() => plan('a: [\n'), fails(/^func\.yaml:\d+/));
  assert.throws(() => plan(`# ${'x'.repeat(2_000_000)}`), fails(/func\.yaml has/, 'SourceTooLarge'));
  assert.equal(plan('').kind, 'function');
});

test('exports within exports end somewhere, and a text that opens without an end is read once', () => {
  let nested: unknown = './a.js';
  for (let i = 0; i < 1000; i++) nested = { import: nested };
  const files = { 'package.json': JSON.stringify({ exports: nested }), 'index.js': '' };
  assert.deepEqual(withSource(files, (source) => decideStart(source, readPackageJson(source))).kind, 'server');
  // Each of these took the square of its length: minutes at this size.
  const n = 400_000;
  for (const part of [
    '/*',
    'export {',
    'module.exports = {',
    'export default {',
    '`\\\n',
    '"\\',
    "'a",
    'export function',
  ]) {
    assert.equal(exportsHandle(part.repeat(n)), false, part);
  }
  assert.equal(exportsHandle(`export function${' '.repeat(n)}x`), false);
  assert.equal(exportsHandle(`${'export { a };'.repeat(n)} export { b,\n handle }`), true);
});

test('paths are bounded in their length and their depth, links are counted as files', () => {
  const add = (path: string) => new SourceList().addFile(path, 0, false);
  assert.throws(() => add('a/'.repeat(200).concat('b')), fails(/200 folders/));
  assert.throws(() => add('x'.repeat(5000)), fails(/5000 bytes/));
  for (const path of ['.git/config', '.GIT/config', 'a/../b', '/a', 'a//b', 'a\0b', '', '.', 'a/.']) {
    assert.throws(() => add(path), fails(/refused/), path);
  }
  const list = new SourceList({ filesMax: 3, fileBytesMax: 10, totalBytesMax: 10 });
  assert.throws(
    () => {
      for (let i = 0; i < 5; i++) list.addSymlink(`link${i}`, 'a');
    },
    fails(/more than 3 files/, 'SourceTooLarge'),
  );
});
