import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateDns } from './dns-validation.ts';
import type { PodSpec } from './pod-spec.ts';

const refused: [spec: Partial<PodSpec>, field: string][] = [
  [{ dnsPolicy: 'None' }, 'spec.dnsConfig'],
  [{ dnsPolicy: 'None', dnsConfig: { searches: ['a'] } }, 'spec.dnsConfig.nameservers'],
  [{ dnsConfig: { nameservers: ['1.1.1.1', '1.1.1.2', '1.1.1.3', '1.1.1.4'] } }, 'spec.dnsConfig.nameservers'],
  [{ dnsConfig: { nameservers: ['1.1.1.1\noptions evil'] } }, 'spec.dnsConfig.nameservers[0]'],
  [{ dnsConfig: { searches: ['a\nnameserver 6.6.6.6'] } }, 'spec.dnsConfig.searches[0]'],
  [{ dnsConfig: { searches: Array.from({ length: 33 }, () => 'a') } }, 'spec.dnsConfig.searches'],
  [
    { dnsConfig: { searches: Array.from({ length: 20 }, () => 'a'.repeat(63).concat('.bcd'.repeat(20))) } },
    'spec.dnsConfig.searches',
  ],
  [{ dnsConfig: { options: [{ value: '5' }] } }, 'spec.dnsConfig.options[0]'],
];

test('a pod that asks for names in a way that nobody could is refused', () => {
  for (const [spec, field] of refused) {
    const errors = validateDns({ containers: [], ...spec }, 'spec');
    assert.deepEqual(
      errors.map((error) => error.field),
      [field],
    );
  }
  const dnsConfig = { nameservers: ['::1'], searches: ['.', 'a_b.example.'], options: [{ name: 'ndots', value: '1' }] };
  assert.deepEqual(validateDns({ containers: [], dnsPolicy: 'None', dnsConfig }, 'spec'), []);
});
