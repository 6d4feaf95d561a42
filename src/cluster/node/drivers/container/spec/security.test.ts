import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { noContainers, RealContainers, type RunOptions } from '../testing/real-container.ts';
import { capabilitiesOfMask, defaultCapabilities } from './capabilities.ts';
import { maskedPaths } from './runtime-spec.ts';

/** System calls of x86_64 by number, with arguments that a permitted one would take. */
const call = (number: number, ...args: number[]) =>
  `perl -e '$! = 0; $r = syscall(${[number, ...args].join(', ')}); print $r < 0 ? $! + 0 : "allowed"; print "\\n"'`;
const [eperm, enosys] = ['1', '38'];

describe('what a real container may do', { skip: noContainers }, () => {
  const containers = noContainers ? undefined : new RealContainers();
  after(() => containers?.close());
  const run = async (options: RunOptions) => {
    assert.ok(containers);
    const result = await containers.run(options);
    return { ...result, lines: result.stdout.trim().split('\n') };
  };
  const masks = `sed -n 's/^Cap\\(Prm\\|Eff\\|Bnd\\|Inh\\|Amb\\):\\t//p' /proc/self/status`;

  test("the capabilities of root are containerd's, to the bit", async () => {
    const { lines } = await run({ script: masks });
    const none = '0000000000000000';
    assert.deepEqual(lines, [none, '00000000a80425fb', '00000000a80425fb', '00000000a80425fb', none]);
    assert.deepEqual(capabilitiesOfMask('00000000a80425fb').sort(), [...defaultCapabilities].sort());
  });

  test('a user who is not root has none of them', async () => {
    const { lines } = await run({ script: masks, container: { securityContext: { runAsUser: 1000 } } });
    assert.deepEqual(lines.slice(1, 3), ['0000000000000000', '0000000000000000']);
  });

  test('dropped capabilities are gone, added ones there', async () => {
    const securityContext = { capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } };
    const { lines } = await run({ script: masks, container: { securityContext } });
    assert.equal(lines[2], '0000000000001000');
  });

  test('the seccomp profile refuses what containerd refuses', {
    skip: process.arch !== 'x64' && 'x86_64',
  }, async () => {
    const script = [
      call(165, 0, 0, 0, 0, 0), // mount
      call(250, 0, 0, 0), // keyctl
      call(321, 0, 0, 0), // bpf
      call(272, 0x10000000), // unshare
      call(435, 0, 0), // clone3
      call(41, 38, 5, 0), // socket of AF_ALG
      call(41, 40, 1, 0), // socket of AF_VSOCK
      call(41, 1, 1, 0), // socket of AF_UNIX
      call(101, 0, 0, 0, 0), // ptrace: PTRACE_TRACEME
      call(135, 0xffffffff), // personality: which it is
      call(135, 0x0400000), // personality: ADDR_COMPAT_LAYOUT and the like
    ].join('\n');
    const { lines } = await run({ script });
    const refused = [eperm, eperm, eperm, eperm, enosys, eperm, eperm];
    assert.deepEqual(lines, [...refused, 'allowed', 'allowed', 'allowed', eperm]);
    const open = await run({ script, container: { securityContext: { seccompProfile: { type: 'Unconfined' } } } });
    assert.notDeepEqual(open.lines, lines);
    assert.equal(open.lines[10], 'allowed');
  });

  test("a node's own seccomp profile is followed", async () => {
    assert.ok(containers);
    const rules = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }];
    writeFileSync(join(containers.dir, 'p.json'), JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: rules }));
    const securityContext = { seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' } };
    const { stderr } = await run({ script: 'LANG=C mkdir /tmp-folder', container: { securityContext } });
    assert.match(stderr, /not supported/);
  });

  test('no more privileges are gained when escalation is not allowed', async () => {
    const script = "sed -n 's/^NoNewPrivs:\\t//p' /proc/self/status";
    assert.equal((await run({ script })).stdout, '0\n');
    const securityContext = { allowPrivilegeEscalation: false };
    assert.equal((await run({ script, container: { securityContext } })).stdout, '1\n');
  });

  test('masked paths show nothing, and the settings of the kernel are read-only', async () => {
    const script = [
      `for path in ${maskedPaths.join(' ')}; do [ -d $path ] && ls -A $path || cat $path 2>/dev/null; done`,
      'echo --',
      'for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /sys/power/state; do',
      '  [ -e $path ] && (echo x > $path) 2>/dev/null && echo "$path written"',
      'done',
      '(mount -o remount,rw /proc/sys) 2>/dev/null && echo remounted; umount /proc/sys 2>/dev/null && echo unmounted',
      'true',
    ].join('\n');
    assert.equal((await run({ script })).stdout, '--\n');
  });

  test('a read-only root is that, and what is mounted in it is not', async () => {
    assert.ok(containers);
    const source = join(containers.dir, 'volume');
    mkdirSync(source);
    const mounts = [{ source, path: '/data', isReadOnly: false }];
    const script = '(echo > /file) 2>/dev/null && echo root; echo > /data/file && echo > /dev/shm/file && echo volume';
    const container = { securityContext: { readOnlyRootFilesystem: true } };
    assert.equal((await run({ script, mounts, container })).stdout, 'volume\n');
    assert.equal((await run({ script, mounts })).stdout, 'root\nvolume\n');
  });

  test('a program runs as whom the pod or the image says, with its groups', async () => {
    assert.ok(containers);
    containers.passwd['/etc/passwd'] = 'web:x:33:34::/srv:/bin/sh\n';
    containers.passwd['/etc/group'] = 'tape:x:26:web\n';
    const script = 'id -u; id -g; id -G';
    const image = await run({ script, imageUser: 'web', pod: { securityContext: { fsGroup: 70 } } });
    assert.deepEqual(image.lines, ['33', '34', '34 26 70']);
    const asked = await run({
      script,
      imageUser: 'web',
      container: { securityContext: { runAsUser: 5, runAsGroup: 6 } },
    });
    assert.deepEqual(asked.lines, ['5', '6', '6']);
  });

  test('devices are the harmless ones, and no other can be made to work', async () => {
    const { rdev } = statSync('/dev/null');
    assert.equal(rdev, 259);
    const script = [
      'ls /dev | grep -v core | sort | tr "\\n" " "; echo', // A link, where the kernel has a /proc/kcore.
      'mknod /disk b 254 0 && (head -c 1 /disk) 2>&1 | grep -o "Operation not permitted"',
      'mknod /mem c 1 1 && (head -c 1 /mem) 2>&1 | grep -o "Operation not permitted"',
      'mknod /zero c 1 5 && head -c 1 /zero | wc -c',
    ].join('\n');
    const { lines } = await run({ script });
    const devices = 'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ';
    assert.deepEqual(lines, [devices, 'Operation not permitted', 'Operation not permitted', '1']);
  });

  test('a privileged container has the devices of the machine, and its kernel settings', async () => {
    const script =
      'ls /dev | wc -l; [ -w /proc/sys/kernel/core_pattern ] && echo writable; grep Seccomp: /proc/self/status';
    const { lines } = await run({ script, container: { securityContext: { privileged: true } } });
    assert.ok(Number(lines[0]) > 20, lines[0]);
    assert.deepEqual(lines.slice(1), ['writable', 'Seccomp:\t0']);
  });

  test('any user may listen on port 80 of the pod', async () => {
    const listen = 'print IO::Socket::INET->new(Listen => 1, LocalPort => 80) ? "yes" : "no: $!"';
    const script = `perl -MIO::Socket::INET -e '${listen}'`;
    const securityContext = { runAsUser: 1000, capabilities: { drop: ['ALL'] } };
    assert.equal((await run({ script, container: { securityContext } })).stdout, 'yes');
  });
});
