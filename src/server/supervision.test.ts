import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blame } from './supervision.ts';

const underWay = { suspects: ['s'], others: ['a', 'b'] };
const exit = (code: number | null, signal: NodeJS.Signals | null = null) => ({ kind: 'exit', code, signal }) as const;

for (const [what, death, found, expected] of [
  ['first, by an exception', exit(1), { suspects: [], others: ['a'] }, { suspects: ['a'], setAside: [] }],
  ['with a suspect alone, by an exception', exit(1), underWay, { suspects: [], setAside: ['s'] }],
  ['with a suspect alone, hung', { kind: 'hung' }, underWay, { suspects: [], setAside: ['s'] }],
  ['out of memory', exit(null, 'SIGABRT'), underWay, { suspects: [], setAside: ['s'] }],
  ['killed by somebody', exit(null, 'SIGKILL'), underWay, { suspects: [], setAside: [] }],
  ['asked to end by somebody', exit(null, 'SIGTERM'), underWay, { suspects: [], setAside: [] }],
  ['interrupted', exit(null, 'SIGINT'), underWay, { suspects: [], setAside: [] }],
  ['with its terminal', exit(null, 'SIGHUP'), underWay, { suspects: [], setAside: [] }],
  [
    'because it could not start, or go on',
    { kind: 'failed', why: 'a reason' },
    underWay,
    { suspects: [], setAside: [] },
  ],
] as const) {
  test(`who is to blame for a role that ended ${what}`, () => {
    assert.deepEqual(blame(death, { suspects: [...found.suspects], others: [...found.others] }), expected);
  });
}
