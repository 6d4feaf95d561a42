import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSource } from '../../testing/source.ts';
import { checkTypeScript } from './check-types.ts';
import { TypeStripper } from './type-stripper.ts';

const { signal } = new AbortController();
const check = (files: Record<string, string>, stripper?: TypeStripper) =>
  withSource(files, (source) => checkTypeScript(source, new Set(), signal, stripper));

test('a file that breaks the parser is the failure of that build: the next one is checked as ever', async () => {
  const deep = {
    brackets: '('.repeat(100_000),
    operators: '!'.repeat(100_000),
    types: `type A = ${'B<'.repeat(9000)}`,
  };
  for (const code of Object.values(deep)) {
    await assert.rejects(check({ 'deep.ts': code }), { reason: 'CompileFailed', message: /deep\.ts: .*too deeply/ });
    await check({ 'good.ts': 'export const a: number = 1;' });
    await assert.rejects(check({ 'bad.ts': '\nconst a: = 1;' }), { message: /^bad\.ts:2: / });
  }
});

test('a file on which the parser takes for ever is given up', async () => {
  const stripper = new TypeStripper(1);
  const slow = 'if (a); else '.repeat(16_000);
  await assert.rejects(check({ 'slow.ts': slow }, stripper), { message: /slow\.ts: .* longer than 1 ms/ });
});

test('builds at the same time get the answers of their own files', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => check({ [`f${i}.ts`]: i % 2 === 0 ? 'let a: string' : 'let a: =' })),
  );
  for (const [i, result] of results.entries()) {
    assert.equal(result.status, i % 2 === 0 ? 'fulfilled' : 'rejected');
    if (result.status === 'rejected') assert.match(result.reason.message, new RegExp(`^f${i}\\.ts:1: `));
  }
});
