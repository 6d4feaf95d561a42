import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSource } from '../../testing/source.ts';
import { readPackageJson } from './package-json.ts';
import { decideStart, exportsHandle } from './start.ts';

const plan = (files: Record<string, string>) => {
  const start = withSource(files, (source) => decideStart(source, readPackageJson(source)));
  const { because: _, ...decided } = start;
  return decided;
};
const json = (value: object) => JSON.stringify(value);
const handle = 'export const handle = () => 1;';

test('an exported handle is found however it is exported, and not where it is only mentioned', () => {
  const yes = [
    'export async function handle(context, body) {}',
    'export function handle() {}',
    'export const handle: Handler = async () => {}',
    'const handle = 1; export { handle };',
    'export { run as handle, other }',
    'module.exports = { handle };',
    'module.exports = { init, handle: async () => {} };',
    'exports.handle = () => {}',
    'module.exports.handle = function () {}',
    'export default { handle() {} }',
    'const url = "http://x"; export const handle = 1;',
  ];
  const no = [
    '',
    '// export const handle = 1',
    '/* exports.handle = 1 */',
    'const handle = () => {}; handle();',
    'export const handler = 1;',
    'app.handle = 1',
    'export { handle as other }',
    'module.exports = { handler }',
  ];
  for (const code of yes) assert.equal(exportsHandle(code), true, code);
  for (const code of no) assert.equal(exportsHandle(code), false, code);
});

test('func.yaml, then an exported handle, then scripts.start, then the entry point decide what is started', () => {
  const func = (entry: string, invoke: string) => ({ kind: 'function', entry, invoke });
  const server = (...command: string[]) => ({ kind: 'server', command });
  const table: [Record<string, string>, object][] = [
    [{ 'index.js': handle }, func('index.js', 'auto')],
    [{ 'index.ts': handle, 'index.js': '' }, func('index.ts', 'auto')],
    [{ 'package.json': json({ main: './lib/fn.js' }), 'lib/fn.js': handle }, func('lib/fn.js', 'auto')],
    [{ 'package.json': json({ main: 'lib' }), 'lib/index.js': handle }, func('lib/index.js', 'auto')],
    [{ 'package.json': json({ exports: { '.': { import: './a.mjs' } } }), 'a.mjs': handle }, func('a.mjs', 'auto')],
    [{ 'func.yaml': 'invoke: cloudevent', 'index.js': 'module.exports = f' }, func('index.js', 'cloudevent')],
    [{ 'func.yaml': 'name: x', 'index.js': handle }, func('index.js', 'http')],
    [
      { 'package.json': json({ scripts: { start: 'faas-js-runtime ./index.js' } }), 'index.js': handle },
      func('index.js', 'auto'),
    ],
    [{ 'index.js': 'listen()' }, server('node', 'index.js')],
    [
      { 'package.json': json({ scripts: { start: 'node --enable-source-maps app.ts --x' } }), 'app.ts': '' },
      server('node', '--enable-source-maps', 'app.ts', '--x'),
    ],
    [
      { 'package.json': json({ main: 'gone.js', scripts: { start: 'node .' } }), 'index.js': 'listen()' },
      server('node', '.'),
    ],
    [
      { 'package.json': json({ scripts: { start: 'next start' } }) },
      server('sh', '-c', 'PATH="$PWD/node_modules/.bin:$PATH"; export PATH; exec next start'),
    ],
    [
      { 'package.json': json({ scripts: { start: 'A=1 node a.js && echo done' } }), 'a.js': '' },
      server('sh', '-c', 'PATH="$PWD/node_modules/.bin:$PATH"; export PATH; A=1 node a.js && echo done'),
    ],
  ];
  for (const [files, expected] of table) assert.deepEqual(plan(files), expected, json(files));
});
