import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { OciSpec } from './spec/oci.ts';
import { noContainers, RealContainers, type RunOptions } from './testing/real-container.ts';

/** A way out of a container that is known: the script says `escaped` when it finds it open. */
interface Escape extends Omit<RunOptions, 'change'> {
  name: string;
  /** Takes the guard away that closes it: then it must be open, or the test shows nothing. */
  unguard(spec: OciSpec): void;
  /** Why it cannot be tried on this machine. */
  skip?: string | false;
}

const writable = (...paths: string[]) =>
  `for path in ${paths.join(' ')}; do [ -e $path ] && : 2>/dev/null >>$path && echo escaped; done; true`;
const call = (number: number, ...args: number[]) =>
  `perl -e '$! = 0; syscall(${[number, ...args].join(', ')}); print "escaped" if $! != 1'`;
const isX64 = process.arch === 'x64';
const hostPid = process.pid;
/** A device that this machine lets its root open, and no container: the disk, where that may be read. */
const device = ['vda', 'sda', 'nvme0n1', 'kvm', 'fuse', 'loop-control', 'mem'].find((name) => {
  try {
    closeSync(openSync(`/dev/${name}`, 'r'));
    return true;
  } catch {
    return false;
  }
});
const mknodArguments = (() => {
  if (device === undefined) return '';
  const found = statSync(`/dev/${device}`);
  const [major, minor] = [(found.rdev >> 8) & 0xfff, (found.rdev & 0xff) | ((found.rdev >> 12) & 0xfff00)];
  return `${found.isBlockDevice() ? 'b' : 'c'} ${major} ${minor}`;
})();

const withoutNamespace = (type: string) => (spec: OciSpec) => {
  spec.linux.namespaces = spec.linux.namespaces.filter((namespace) => namespace.type !== type);
};
const withoutSeccomp = (spec: OciSpec) => {
  delete spec.linux.seccomp;
};
const withCapability = (name: string) => (spec: OciSpec) => {
  for (const set of ['bounding', 'effective', 'permitted'] as const) spec.process.capabilities[set].push(name);
};
const writableMount = (path: string) => (spec: OciSpec) => {
  const mount = spec.mounts.find(({ destination }) => destination === path);
  if (mount) mount.options = mount.options.map((option) => (option === 'ro' ? 'rw' : option));
};

const escapes: Escape[] = [
  {
    name: 'the program that dumps cores for the whole machine is not named by a container',
    script: writable('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sysrq-trigger'),
    unguard: ({ linux }) => {
      linux.readonlyPaths = [];
    },
  },
  {
    name: 'a kernel setting does not become writable again by another mount',
    script:
      'mount -t proc proc /mnt 2>/dev/null && echo escaped; mount -o remount,rw /proc/sys 2>/dev/null && echo escaped',
    unguard: (spec) => {
      withoutSeccomp(spec);
      withCapability('CAP_SYS_ADMIN')(spec);
    },
    prepare: (root) => mkdirSync(join(root, 'mnt')),
  },
  {
    name: 'nothing is written to /sys',
    script: writable(
      '/sys/kernel/uevent_helper',
      '/sys/kernel/mm/transparent_hugepage/enabled',
      '/sys/kernel/profiling',
    ),
    unguard: writableMount('/sys'),
  },
  {
    name: 'a control group names no program that the machine runs, and nobody leaves his group',
    script: `cd /sys/fs/cgroup; ${writable('*/release_agent', '*/cgroup.procs', 'cgroup.procs')}`,
    unguard: writableMount('/sys/fs/cgroup'),
  },
  {
    name: 'no control groups are mounted anew',
    script: [
      'mount -t cgroup -o memory none /mnt 2>/dev/null && echo escaped',
      'mount -t cgroup2 none /mnt 2>/dev/null && echo escaped',
    ].join('; '),
    unguard: (spec) => {
      withoutSeccomp(spec);
      withCapability('CAP_SYS_ADMIN')(spec);
    },
    prepare: (root) => mkdirSync(join(root, 'mnt')),
  },
  {
    name: 'no user namespace gives the capabilities that the container has not got',
    script: 'unshare --user true 2>/dev/null && echo escaped',
    unguard: withoutSeccomp,
  },
  {
    name: 'devices of the machine are not opened through nodes of their own',
    script: `mknod /device ${mknodArguments} && : 2>/dev/null </device && echo escaped`,
    unguard: ({ linux }) => {
      linux.resources.devices = [{ allow: true, access: 'rwm' }];
    },
    skip: device === undefined && 'no device can be opened here',
  },
  {
    name: 'files of the machine are not opened by their numbers',
    script: call(304, 0, 0, 0), // open_by_handle_at: EFAULT where it is allowed
    unguard: withoutSeccomp,
    skip: !isX64 && 'x86_64',
  },
  {
    name: 'processes of the machine and of other pods are not seen, signalled or traced',
    script: `[ -e /proc/${hostPid} ] && echo escaped; kill -0 ${hostPid} 2>/dev/null && echo escaped`,
    unguard: withoutNamespace('pid'),
  },
  {
    name: 'System V memory of the machine and of other pods is not seen',
    script: 'readlink /proc/self/ns/ipc',
    unguard: withoutNamespace('ipc'),
  },
  {
    name: 'the name of the machine stays its own',
    script: 'readlink /proc/self/ns/uts',
    unguard: (spec) => {
      withoutNamespace('uts')(spec);
      delete spec.hostname;
    },
  },
  {
    name: 'the keys of the machine are not read',
    script: `${call(250, 0, 0, 0)}; head -c 1 /proc/keys | grep -q . && echo escaped`,
    unguard: (spec) => {
      withoutSeccomp(spec);
      spec.linux.maskedPaths = [];
    },
    skip: !isX64 && 'x86_64',
  },
  {
    name: 'the kernel tells nothing of the machine by the paths that are masked',
    script:
      'head -c 1 /proc/timer_list | grep -q . && echo escaped; head -c 1 /proc/interrupts | grep -q . && echo escaped',
    unguard: ({ linux }) => {
      linux.maskedPaths = [];
    },
  },
  {
    name: 'no kernel module is loaded, and no program for the kernel',
    script: `${call(313, 0, 0, 0)}; ${call(321, 0, 0, 0)}`, // finit_module, bpf
    unguard: (spec) => {
      withoutSeccomp(spec);
      withCapability('CAP_SYS_MODULE')(spec);
      withCapability('CAP_SYS_ADMIN')(spec);
    },
    skip: !isX64 && 'x86_64',
  },
];

describe('known ways out of a container', { skip: noContainers }, () => {
  const containers = noContainers ? undefined : new RealContainers();
  after(() => containers?.close());
  const run = (options: RunOptions) => {
    assert.ok(containers);
    return containers.run(options);
  };
  /** A namespace's name shows by itself whose it is. */
  const hasEscaped = (stdout: string) =>
    stdout.includes('escaped') ||
    ['ipc', 'uts'].some((type) => stdout.includes(`${type}:[${statSync(`/proc/self/ns/${type}`).ino}]`));

  for (const { name, unguard, skip = false, ...options } of escapes) {
    test(name, { skip }, async () => {
      const guarded = await run(options);
      assert.equal(hasEscaped(guarded.stdout), false, guarded.stdout + guarded.stderr);
      const open = await run({ ...options, change: unguard });
      assert.equal(hasEscaped(open.stdout), true, `without its guard it must be open: ${open.stdout}${open.stderr}`);
    });
  }

  test('links in a volume lead to files of the container', async () => {
    assert.ok(containers);
    const secret = join(containers.dir, 'secret');
    writeFileSync(secret, 'of the machine');
    const source = join(containers.dir, 'volume');
    mkdirSync(source);
    symlinkSync(secret, join(source, 'absolute'));
    symlinkSync('../secret', join(source, 'relative'));
    symlinkSync(`${'../'.repeat(20)}${secret}`, join(source, 'up'));
    const mounts = [{ source, path: '/data', isReadOnly: false }];
    const script = 'cat /data/absolute /data/relative /data/up; echo changed >/data/relative';
    const { stdout } = await run({ script, mounts });
    assert.equal(stdout, '');
    assert.equal(readFileSync(secret, 'utf8'), 'of the machine');
  });

  test('links in an image lead no mount to another place of the machine', async () => {
    assert.ok(containers);
    const outside = join(containers.dir, 'outside');
    const source = join(containers.dir, 'given');
    mkdirSync(source);
    writeFileSync(join(source, 'file'), 'of the volume');
    const targets = ['/absolute/a', '/relative/b', '/link'];
    const places = targets.map((_, index) => join(outside, String(index)));
    for (const place of places) mkdirSync(place, { recursive: true });
    const { stdout, exitCode } = await run({
      script: 'cat /absolute/a/file /relative/b/file /link/file; true',
      prepare: (root) => {
        symlinkSync(places[0] ?? '', join(root, 'absolute'));
        symlinkSync(`${'../'.repeat(20)}${places[1]}`, join(root, 'relative'));
        symlinkSync(places[2] ?? '', join(root, 'link'));
      },
      mounts: targets.map((path) => ({ source, path, isReadOnly: true })),
    });
    assert.deepEqual([exitCode, stdout], [0, 'of the volume'.repeat(3)]);
    assert.deepEqual(
      places.flatMap((place) => readdirSync(place)),
      [],
    );
  });

  test('no folder that the runtime has open is where a program starts', async () => {
    for (let descriptor = 3; descriptor < 12; descriptor++) {
      const { exitCode, stdout, stderr } = await run({
        script: 'cat ../../../../../../../../marker',
        prepare: (root) => {
          writeFileSync(join(root, 'marker'), 'of the container');
          symlinkSync(`/proc/self/fd/${descriptor}`, join(root, 'link'));
        },
        change: ({ process }) => {
          process.cwd = '/link';
        },
      });
      const words = `descriptor ${descriptor}: ${stdout} ${stderr}`;
      assert.ok(exitCode !== 0 ? !stdout : stdout === 'of the container', words);
    }
  });

  test('an image whose /proc or /sys is a link does not start', async () => {
    for (const path of ['proc', 'sys']) {
      const prepare = (root: string) => symlinkSync('/tmp', join(root, path));
      const { exitCode, stderr } = await run({ script: 'echo started', prepare });
      assert.notEqual(exitCode, 0);
      assert.match(stderr, /must be mounted on ordinary directory|not a directory/);
    }
  });

  test('the OCI runtime is not overwritten through /proc/self/exe', async () => {
    assert.ok(containers);
    const path =
      (process.env.PATH ?? '')
        .split(delimiter)
        .map((folder) => join(folder, 'runc'))
        .find(existsSync) ?? '';
    const hash = () => createHash('sha256').update(readFileSync(path)).digest('hex');
    const before = hash();
    // Each `exec` is, for a moment, the runtime itself in the container's namespaces. It hides there; with the right to
    // trace it, its program can be held open until it no longer runs: but it is a copy that cannot be written.
    const catcher = (wanted: 'held' | 'hidden') => `
      my (%held, %hidden, $written);
      for (my $end = time + 30; time < $end && keys(%${wanted}) < 3;) {
        for my $pid (map { m{(\\d+)$} ? $1 : () } glob "/proc/[0-9]*") {
          next if $pid == 1 || $pid == $$ || $held{$pid};
          my $exe = readlink("/proc/$pid/exe");
          $hidden{$pid} = 1 if !defined $exe && -d "/proc/$pid";
          next if !defined $exe || $exe =~ m{/(perl|true|sh|dash|bash|coreutils)[^/]*$};
          open(my $fd, "<", "/proc/$pid/exe") and $held{$pid} = $fd;
        }
      }
      for my $fd (values %held) {
        for (1 .. 200) {
          if (open my $w, "+<", "/proc/self/fd/" . fileno $fd) { $written++; last }
          select undef, undef, undef, 0.001;
        }
      }
      printf "%s, writable %d", %held ? "held" : %hidden ? "hidden" : "never there", $written || 0;`;
    const attempt = async (wanted: 'held' | 'hidden', add: string[]) => {
      const controller = new AbortController();
      let execs = Promise.resolve();
      const { stdout } = await run({
        script: `perl -e '${catcher(wanted)}'`,
        container: { securityContext: { capabilities: { add } } },
        whileRunning: (id) => {
          execs = execAgainAndAgain(containers.runtime('exec', id, 'true'), controller.signal);
        },
      }).finally(() => controller.abort());
      await execs;
      return stdout;
    };
    assert.equal(await attempt('hidden', []), 'hidden, writable 0');
    assert.equal(await attempt('held', ['SYS_PTRACE']), 'held, writable 0');
    assert.equal(hash(), before);
  });
});

async function execAgainAndAgain(args: string[], signal: AbortSignal): Promise<void> {
  for (let i = 0; i < 400 && !signal.aborted; i++) {
    await new Promise<void>((resolve) => execFile('runc', args, { timeout: 10_000 }, () => resolve()));
  }
}
