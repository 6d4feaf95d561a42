import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PodSpec } from '../../../../../api/core/pod-spec.ts';
import { specInput } from '../testing/spec-input.ts';
import { sysctlsOf } from './sysctls.ts';

const settingsOf = (sysctls: { name: string; value: string }[], pod: Partial<PodSpec> = {}) =>
  sysctlsOf(specInput({ pod: { securityContext: { sysctls }, ...pod } }).pod);

describe('sysctlsOf', () => {
  test('programs without privileges may listen on any port of their pod and ping, as under containerd', () => {
    assert.deepEqual(settingsOf([]), {
      'net.ipv4.ip_unprivileged_port_start': '0',
      'net.ipv4.ping_group_range': '0 2147483647',
    });
    assert.deepEqual(settingsOf([], { hostNetwork: true }), {});
  });

  test('safe settings are taken, with dots or slashes', () => {
    const settings = settingsOf([
      { name: 'net/ipv4/tcp_syncookies', value: '0' },
      { name: 'kernel.shm_rmid_forced', value: '1' },
      { name: 'net.ipv4.ip_unprivileged_port_start', value: '1024' },
    ]);
    assert.equal(settings['net.ipv4.tcp_syncookies'], '0');
    assert.equal(settings['kernel.shm_rmid_forced'], '1');
    assert.equal(settings['net.ipv4.ip_unprivileged_port_start'], '1024');
  });

  for (const [name, pod, message] of [
    ['kernel.core_pattern', {}, /^forbidden sysctl: "kernel.core_pattern" not allowlisted$/],
    ['kernel.msgmax', {}, /not allowlisted/],
    ['net.ipv4.ip_forward', {}, /not allowlisted/],
    ['../../sys/kernel/core_pattern', {}, /not allowlisted/],
    ['net.ipv4.tcp_syncookies', { hostNetwork: true }, /not allowed with host net enabled/],
    ['kernel.shm_rmid_forced', { hostIPC: true }, /not allowed with host ipc enabled/],
  ] as const) {
    test(`${name} of a pod with ${JSON.stringify(pod)} is forbidden in the words of the kubelet`, () => {
      assert.throws(() => settingsOf([{ name, value: '1' }], pod), { reason: 'CreateContainerConfigError', message });
    });
  }

  test('a value that is no line of text is forbidden', () => {
    const name = 'net.ipv4.tcp_rmem';
    for (const value of ['1\n2', '1\0', 'x'.repeat(2000)]) {
      assert.throws(() => settingsOf([{ name, value }]), /the value of "net.ipv4.tcp_rmem" is no line of text/);
    }
  });
});
