import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isConfigKey,
  isDnsLabel,
  isDnsSubdomain,
  isEnvVarName,
  isLabelValue,
  isPortName,
  isQualifiedName,
} from './names.ts';

const long = (length: number) => 'a'.repeat(length);

test('names are judged as Kubernetes judges them', () => {
  const table: [(text: string) => boolean, string[], string[]][] = [
    [isDnsLabel, ['a', '1-a', long(63)], ['', 'A', '-a', 'a-', 'a.b', 'a_b', long(64)]],
    [isDnsSubdomain, ['a.b', 'a', `${long(60)}.b`], ['a..b', '.a', 'A.b', long(254)]],
    [isQualifiedName, ['a', 'A_b.c', 'example.com/Name'], ['/a', 'a/', 'a/b/c', 'Example.com/a', long(64)]],
    [isLabelValue, ['', 'a', 'A.b_c-d'], ['-a', 'a b', long(64)]],
    [isPortName, ['http', 'h2c', 'user-port'], ['80', 'a--b', '-a', 'sixteen-letters-', long(16)]],
    [isEnvVarName, ['A', 'a.b-c', 'my name'], ['', 'A=B', 'é']],
    [isConfigKey, ['a', 'a.b_c-D', '.dockerconfigjson'], ['', '.', '..', '..a', 'a/b', long(254)]],
  ];
  for (const [is, good, bad] of table) {
    for (const text of good) assert.equal(is(text), true, `${is.name}(${text})`);
    for (const text of bad) assert.equal(is(text), false, `${is.name}(${text})`);
  }
});
