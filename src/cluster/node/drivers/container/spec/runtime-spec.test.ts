import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SecurityContext } from '../../../../../api/core/container.ts';
import { bigMachine, type Said, specInput } from '../testing/spec-input.ts';
import { allCapabilities, defaultCapabilities } from './capabilities.ts';
import { maskedPaths, readonlyPaths, runtimeSpec } from './runtime-spec.ts';

const specOf = (said: Said = {}) => runtimeSpec(specInput(said));
const withSecurity = (securityContext: SecurityContext) => specOf({ container: { securityContext } });
const refusal = (said: Said): string => {
  try {
    specOf(said);
  } catch (error) {
    assert.ok(error instanceof Error);
    return `${(error as { reason?: string }).reason}: ${error.message}`;
  }
  return 'none';
};

describe('runtimeSpec', () => {
  test('a container that says nothing gets what containerd gives it', () => {
    const { process, root, linux, mounts, hostname } = specOf();
    assert.deepEqual(process.args, ['/shop', '--port', '80']);
    assert.deepEqual(process.env, [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=shop',
      'LANG=C',
    ]);
    assert.deepEqual([process.cwd, process.terminal, process.noNewPrivileges], ['/srv', false, false]);
    for (const set of ['bounding', 'effective', 'permitted'] as const) {
      assert.deepEqual(process.capabilities[set], defaultCapabilities, set);
    }
    assert.deepEqual([process.capabilities.inheritable, process.capabilities.ambient], [[], []]);
    assert.deepEqual(root, { path: '/bundle/root', readonly: false });
    assert.equal(hostname, 'shop');
    assert.deepEqual(
      linux.namespaces.map(({ type, path }) => `${type} ${path ?? 'new'}`),
      ['mount new', 'pid new', 'network /ns/net', 'ipc /ns/ipc', 'uts /ns/uts', 'cgroup new'],
    );
    assert.deepEqual([linux.maskedPaths, linux.readonlyPaths], [maskedPaths, readonlyPaths]);
    assert.equal(linux.seccomp?.defaultAction, 'SCMP_ACT_ERRNO');
    assert.deepEqual(linux.resources.devices, [{ allow: false, access: 'rwm' }]);
    assert.equal(linux.devices, undefined);
    assert.deepEqual(
      mounts.map(({ destination }) => destination),
      ['/proc', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue', '/sys', '/sys/fs/cgroup'],
    );
    const isReadOnly = (path: string) => mounts.find((m) => m.destination === path)?.options.includes('ro');
    assert.deepEqual([isReadOnly('/sys'), isReadOnly('/sys/fs/cgroup')], [true, true]);
  });

  test('what a pod and an image say of variables comes before what the node adds', () => {
    const environment = { PATH: '/app', HOSTNAME: 'mine', TERM: 'dumb' };
    const { process } = specOf({ onNode: { environment }, input: { isTerminal: true } });
    assert.deepEqual([process.env, process.terminal], [['PATH=/app', 'HOSTNAME=mine', 'TERM=dumb'], true]);
  });

  test('a relative working directory is one of the root', () => {
    assert.equal(specOf({ onNode: { workingDir: 'app' } }).process.cwd, '/app');
    assert.equal(specOf({ onNode: { workingDir: '' } }).process.cwd, '/');
  });

  test('capabilities are added and dropped as containerd does it', () => {
    const bounding = (add: string[], drop: string[]) =>
      withSecurity({ capabilities: { add, drop } }).process.capabilities.bounding;
    assert.deepEqual(bounding([], ['ALL']), []);
    assert.deepEqual(bounding(['NET_BIND_SERVICE'], ['ALL']), ['CAP_NET_BIND_SERVICE']);
    assert.deepEqual(bounding(['ALL'], []), allCapabilities);
    assert.deepEqual(
      bounding(['ALL'], ['SYS_ADMIN']),
      allCapabilities.filter((name) => name !== 'CAP_SYS_ADMIN'),
    );
    assert.deepEqual(bounding(['SYS_PTRACE', 'cap_net_admin'], ['MKNOD', 'KILL']), [
      ...defaultCapabilities.filter((name) => !['CAP_MKNOD', 'CAP_KILL'].includes(name)),
      'CAP_SYS_PTRACE',
      'CAP_NET_ADMIN',
    ]);
  });

  test('a capability that is none, or that the node has not got, is named', () => {
    const securityContext = { capabilities: { add: ['FLY'] } };
    assert.match(refusal({ container: { securityContext } }), /CAP_FLY, which is none of Linux/);
    const poor = { ...bigMachine, capabilities: allCapabilities.filter((name) => name !== 'CAP_SYS_RESOURCE') };
    const asks = { container: { securityContext: { capabilities: { add: ['SYS_RESOURCE'] } } } };
    assert.match(refusal({ ...asks, input: { machine: poor } }), /CAP_SYS_RESOURCE, which the node itself has not got/);
    const all = { container: { securityContext: { privileged: true } }, input: { machine: poor } };
    assert.deepEqual(specOf(all).process.capabilities.bounding, poor.capabilities);
  });

  test('a privileged container has all that the machine has', () => {
    const device = { path: '/dev/sda', type: 'b' as const, major: 8, minor: 0, fileMode: 0o660, uid: 0, gid: 6 };
    const securityContext = { privileged: true, seccompProfile: { type: 'RuntimeDefault' } };
    const { process, linux, mounts } = specOf({ container: { securityContext }, input: { devices: [device] } });
    assert.deepEqual(process.capabilities.bounding, allCapabilities);
    assert.deepEqual([linux.seccomp, linux.maskedPaths, linux.readonlyPaths], [undefined, [], []]);
    assert.deepEqual(linux.resources.devices, [{ allow: true, access: 'rwm' }]);
    assert.deepEqual(linux.devices, [device]);
    assert.ok(
      mounts.filter(({ destination }) => destination.startsWith('/sys')).every((m) => m.options.includes('rw')),
    );
    assert.ok(!linux.namespaces.some(({ type }) => type === 'cgroup'));
  });

  test('no other container is told of the devices of the machine', () => {
    const device = { path: '/dev/sda', type: 'b' as const, major: 8, minor: 0, fileMode: 0o660, uid: 0, gid: 6 };
    assert.equal(specOf({ input: { devices: [device] } }).linux.devices, undefined);
  });

  test('allowPrivilegeEscalation, readOnlyRootFilesystem and procMount are what they say', () => {
    assert.equal(withSecurity({ allowPrivilegeEscalation: false }).process.noNewPrivileges, true);
    assert.equal(withSecurity({ allowPrivilegeEscalation: true }).process.noNewPrivileges, false);
    assert.equal(withSecurity({ readOnlyRootFilesystem: true }).root.readonly, true);
    assert.deepEqual(withSecurity({ procMount: 'Unmasked' }).linux.maskedPaths, []);
  });

  test('how hot each processor is shows no more than the other paths that are masked', () => {
    const thermalPaths = ['/sys/devices/system/cpu/cpu0/thermal_throttle'];
    const { linux } = specOf({ input: { machine: { ...bigMachine, thermalPaths } } });
    assert.deepEqual(linux.maskedPaths, [...maskedPaths, ...thermalPaths]);
  });

  test("a container's seccomp profile comes before its pod's", () => {
    const pod = { securityContext: { seccompProfile: { type: 'Unconfined' } } };
    assert.equal(specOf({ pod }).linux.seccomp, undefined);
    const own = { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } };
    assert.ok(specOf({ pod, container: own }).linux.seccomp);
    const profile = { defaultAction: 'SCMP_ACT_LOG' as const, architectures: [], syscalls: [] };
    const local = { securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'a.json' } } };
    assert.equal(specOf({ container: local, input: { seccompProfile: profile } }).linux.seccomp, profile);
  });

  test("a pod in the machine's namespaces has none of its own there", () => {
    const pod = { hostNetwork: true, hostPID: true, hostIPC: true };
    const { linux, hostname, mounts } = specOf({ pod, input: { namespaces: { pid: 'host' } } });
    assert.equal(mounts.find(({ destination }) => destination === '/dev/shm')?.source, '/dev/shm');
    assert.deepEqual(
      linux.namespaces.map(({ type }) => type),
      ['mount', 'cgroup'],
    );
    assert.deepEqual([hostname, linux.sysctl], [undefined, undefined]);
  });

  test('a pod that shares its processes, or has users of its own, has namespaces to join', () => {
    const range = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    const namespaces = { network: '/n', ipc: '/i', uts: '/u', pid: '/ns/pid', user: '/ns/user' };
    const { linux } = specOf({ input: { namespaces, idMappings: { uids: range, gids: range } } });
    const paths = Object.fromEntries(linux.namespaces.map(({ type, path }) => [type, path]));
    assert.deepEqual([paths.pid, paths.user], ['/ns/pid', '/ns/user']);
    assert.deepEqual([linux.uidMappings, linux.gidMappings], [range, range]);
  });

  test('users of its own are had, or the container does not start', () => {
    const pod = { hostUsers: false };
    assert.match(refusal({ pod }), /^CreateContainerConfigError: hostUsers: false needs a user namespace/);
    assert.equal(refusal({ pod, input: { machine: { ...bigMachine, isRootless: true } } }), 'none');
    assert.equal(refusal({ pod, input: { idMappings: { uids: [], gids: [] } } }), 'none');
  });

  test('without control groups nothing is limited, and none are shown', () => {
    const container = { resources: { limits: { memory: '64Mi' } } };
    const { linux, mounts } = specOf({ container, input: { cgroupsPath: undefined } });
    assert.deepEqual(Object.keys(linux.resources), ['devices']);
    assert.equal(linux.cgroupsPath, undefined);
    assert.ok(!mounts.some(({ destination }) => destination === '/sys/fs/cgroup'));
  });

  describe('mounts', () => {
    const volume = (path: string, isReadOnly = false, source = `/volumes${path}`) => ({ source, path, isReadOnly });

    test('volumes come after what every container has, outer folders first', () => {
      const mounts = [volume('/data/inner/'), volume('/data', true), volume('relative/path')];
      assert.deepEqual(
        specOf({ onNode: { mounts } })
          .mounts.slice(7)
          .map(({ destination, source, options }) => [destination, source, ...options]),
        [
          ['/data', '/volumes/data', 'rbind', 'rprivate', 'ro'],
          ['/data/inner', '/volumes/data/inner/', 'rbind', 'rprivate', 'rw'],
          ['/relative/path', '/volumesrelative/path', 'rbind', 'rprivate', 'rw'],
        ],
      );
    });

    test('a volume takes the place of what every container has there', () => {
      const { mounts } = specOf({
        onNode: { mounts: [volume('/dev/shm'), volume('/etc/hosts')] },
        input: {
          sharedMemoryPath: '/pod/shm',
          hostFiles: [volume('/etc/hosts', false, '/pod/hosts'), volume('/etc/resolv.conf', false, '/pod/resolv.conf')],
        },
      });
      const at = (path: string) => mounts.filter(({ destination }) => destination === path).map(({ source }) => source);
      assert.deepEqual(at('/dev/shm'), ['/volumes/dev/shm']);
      assert.deepEqual(at('/etc/hosts'), ['/volumes/etc/hosts']);
      assert.deepEqual(at('/etc/resolv.conf'), ['/pod/resolv.conf']);
    });

    test("a pod's containers share its memory file system", () => {
      const { mounts } = specOf({ input: { sharedMemoryPath: '/pod/shm' } });
      const shm = mounts.filter(({ destination }) => destination === '/dev/shm');
      assert.deepEqual(
        shm.map(({ type, source }) => [type, source]),
        [['bind', '/pod/shm']],
      );
    });

    test("the node's files are read-only where the root is", () => {
      const container = { securityContext: { readOnlyRootFilesystem: true } };
      const { mounts } = specOf({ container, input: { hostFiles: [volume('/etc/hosts')] } });
      assert.ok(mounts.at(-1)?.options.includes('ro'));
    });

    test('read-only mounts can be so with all below them, and see mounts of the host', () => {
      const volumeMounts = [
        { name: 'a', mountPath: '/a', readOnly: true, recursiveReadOnly: 'Enabled' },
        { name: 'b', mountPath: '/b/', mountPropagation: 'HostToContainer' },
      ];
      const mounts = [volume('/a', true), volume('/b/')];
      const spec = specOf({ container: { volumeMounts }, onNode: { mounts } });
      const [a, b] = spec.mounts.slice(7);
      assert.deepEqual(a?.options, ['rbind', 'rprivate', 'rro']);
      assert.deepEqual(b?.options, ['rbind', 'rslave', 'rw']);
      assert.equal(spec.linux.rootfsPropagation, 'rslave');
    });

    test('what cannot be mounted is refused with its reason', () => {
      const at = (path: string) => refusal({ onNode: { mounts: [volume(path)] } });
      assert.match(at('/'), /CreateContainerError: .*cannot be mounted at \//);
      assert.match(at('/x/../..'), /cannot be mounted at \//);
      assert.match(at('/proc/self/fd'), /in \/proc is the kernel's/);
      assert.match(at('/a/../proc'), /in \/proc is the kernel's/);
      assert.match(at('/a\0b'), /no path can be "\/a\\u0000b"/);
      const volumeMounts = [{ name: 'a', mountPath: '/a', mountPropagation: 'Bidirectional' }];
      assert.match(refusal({ container: { volumeMounts }, onNode: { mounts: [volume('/a')] } }), /Bidirectional/);
    });
  });

  describe('hostile values', () => {
    const long = 'x'.repeat(131_072);
    for (const [what, onNode, message] of [
      ['a NUL in an argument', { argv: ['/a', 'b\0c'] }, /argument 1 holds a NUL/],
      ['an argument of megabytes', { argv: ['/a', long] }, /argument 1 has 131072 bytes: .* at most 131071/],
      ['a NUL in a variable', { environment: { A: 'b\0' } }, /the variable A holds a NUL/],
      ['a variable of megabytes', { environment: { A: long } }, /the variable A has 131074 bytes/],
      ['a variable without a name', { environment: { '': 'b' } }, /no variable can have the name ""/],
      ['a variable with = in its name', { environment: { 'A=B': 'c' } }, /no variable can have the name "A=B"/],
      ['a working directory that a process has open', { workingDir: '/a/../proc/self/fd/7/..' }, /has open/],
      ['no command', { argv: [] }, /no command specified/],
      ['an empty command', { argv: [''] }, /no command specified/],
      ['a working directory with NUL', { workingDir: '/a\0' }, /workingDir holds a NUL/],
      ['a working directory without end', { workingDir: `/${'a/'.repeat(3000)}` }, /workingDir has 6001 characters/],
    ] as const) {
      test(`${what} is refused in words`, () => assert.match(refusal({ onNode }), message));
    }
  });
});
