import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { specInput } from '../testing/spec-input.ts';
import { defaultCapabilities } from './capabilities.ts';
import { defaultSeccomp } from './seccomp.ts';
import { readSeccompProfile } from './seccomp-profile.ts';
import { allowedSyscalls } from './seccomp-syscalls.ts';

const machine = { architecture: 'x64', kernel: '6.1.0' };
/** What the profile lets through without conditions. */
const allowed = (capabilities: readonly string[], on = machine) =>
  new Set(
    defaultSeccomp(capabilities, on)
      ?.syscalls.filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && !args?.length)
      .flatMap(({ names }) => names),
  );

describe('the default seccomp profile', () => {
  test('lists each system call once, and none that could leave the container', () => {
    assert.equal(new Set(allowedSyscalls).size, allowedSyscalls.length);
    const found = allowed(defaultCapabilities);
    const dangerous = ['mount', 'umount2', 'keyctl', 'add_key', 'bpf', 'unshare', 'setns', 'init_module', 'kexec_load'];
    const others = [
      'reboot',
      'swapon',
      'perf_event_open',
      'userfaultfd',
      'io_uring_setup',
      'open_by_handle_at',
      'clone3',
    ];
    assert.deepEqual(
      [...dangerous, ...others].filter((name) => found.has(name)),
      [],
    );
    for (const name of ['read', 'execve', 'openat2', 'chroot', 'arch_prctl', 'ptrace'])
      assert.ok(found.has(name), name);
  });

  test('follows the capabilities, the kernel and the architecture', () => {
    assert.ok(allowed(['CAP_SYS_ADMIN']).has('mount'));
    assert.ok(allowed(['CAP_SYS_ADMIN']).has('clone'));
    assert.ok(!allowed([]).has('chroot'));
    assert.ok(!allowed([]).has('clone'), 'only without flags for new namespaces');
    assert.ok(!allowed([], { ...machine, kernel: '4.4.0-generic' }).has('ptrace'));
    assert.ok(allowed(['CAP_SYS_PTRACE'], { ...machine, kernel: '4.4.0-generic' }).has('ptrace'));
    const arm = defaultSeccomp([], { ...machine, architecture: 'arm64' });
    assert.deepEqual(arm?.architectures, ['SCMP_ARCH_ARM', 'SCMP_ARCH_AARCH64']);
    assert.ok(allowed([], { ...machine, architecture: 'arm64' }).has('set_tls'));
    assert.equal(defaultSeccomp([], { ...machine, architecture: 'sparc' }), undefined);
  });

  test('clone3 seems not to be there, so that programs use clone, whose flags can be seen', () => {
    const rules = defaultSeccomp([], machine)?.syscalls ?? [];
    const rule = rules.find(({ names }) => names.includes('clone3'));
    assert.deepEqual(rule, { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 });
    assert.equal(rules.find(({ names }) => names.includes('clone'))?.args?.[0]?.value, 0x7e020000);
  });
});

describe('a seccomp profile of the node', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-seccomp-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const read = (localhostProfile: string) => {
    const securityContext = { seccompProfile: { type: 'Localhost', localhostProfile } };
    const { pod, container } = specInput({ container: { securityContext } });
    return readSeccompProfile(pod, container.spec, folder);
  };

  test('is read as the OCI specification has it', async () => {
    const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO' }] };
    writeFileSync(join(folder, 'no-folders.json'), JSON.stringify(profile));
    assert.deepEqual(await read('no-folders.json'), profile);
  });

  test('that cannot be had is no reason to run without', async () => {
    writeFileSync(join(folder, 'bad.json'), '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":"mkdir"}]}');
    writeFileSync(join(folder, 'text.json'), 'no JSON');
    for (const [path, message] of [
      ['away.json', /^cannot load seccomp profile "away.json": ENOENT/],
      ['../seccomp.json', /it is a path below /],
      ['/etc/passwd', /it is a path below /],
      ['', /it is a path below /],
      ['text.json', /is not valid JSON/],
      ['bad.json', /syscalls with names and an action each/],
    ] as const) {
      await assert.rejects(read(path), { reason: 'CreateContainerError', message });
    }
  });
});
