import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findHierarchy } from './hierarchy.ts';

const line = (path: string, type: string, options: string) =>
  `36 35 0:31 / ${path} rw,relatime shared:9 - ${type} ${type} ${options}`;
const v1 = ['cpu,cpuacct', 'memory', 'pids', 'freezer']
  .map((name) => line(`/sys/fs/cgroup/${name}`, 'cgroup', `rw,${name}`))
  .join('\n');
const other = '22 1 8:1 / / rw - ext4 /dev/sda1 rw\n';

const find = (mountinfo: string, { cgroup = '0::/\n', isWritable = (_folder: string): boolean => true } = {}) =>
  findHierarchy({ mountinfo: other + mountinfo, cgroup, isWritable });

describe('findHierarchy', () => {
  const unified = line('/sys/fs/cgroup', 'cgroup2', 'rw,nsdelegate');

  test('version 2 has one tree', () => {
    const mounts = Object.fromEntries(['cpu', 'cpuacct', 'memory', 'pids'].map((name) => [name, '/sys/fs/cgroup']));
    const hierarchy = { version: 2, mounts, trees: ['/sys/fs/cgroup'], base: '/' };
    assert.deepEqual(find(unified), { hierarchy });
  });

  test('version 1 has one for each controller, and where both are mounted it has them', () => {
    const mounts = {
      cpu: '/sys/fs/cgroup/cpu,cpuacct',
      cpuacct: '/sys/fs/cgroup/cpu,cpuacct',
      memory: '/sys/fs/cgroup/memory',
      pids: '/sys/fs/cgroup/pids',
    };
    const trees = ['cpu,cpuacct', 'memory', 'pids', 'freezer'].map((name) => `/sys/fs/cgroup/${name}`);
    assert.deepEqual(find(v1), { hierarchy: { version: 1, mounts, trees, base: '/' } });
    const hybrid = find(`${v1}\n${line('/sys/fs/cgroup/unified', 'cgroup2', 'rw')}`);
    const both = { version: 1, mounts, trees: [...trees, '/sys/fs/cgroup/unified'], base: '/' };
    assert.deepEqual(hybrid, { hierarchy: both });
  });

  test('without root it is the outermost group that systemd has delegated', () => {
    const user = '/user.slice/user-1000.slice/user@1000.service';
    const cgroup = `0::${user}/app.slice/run-1.scope\n`;
    const isWritable = (folder: string) => folder.startsWith(`/sys/fs/cgroup${user}`);
    const found = find(unified, { cgroup, isWritable });
    assert.equal('hierarchy' in found && found.hierarchy.base, user);
  });

  test('what is missing is said, with the way to have it', () => {
    const isWritable = () => false;
    const cgroup = '0::/user.slice/user-1000.slice/session-3.scope\n';
    assert.deepEqual(find(unified, { cgroup, isWritable }), {
      missing:
        'the control group /user.slice/user-1000.slice/session-3.scope of this process is not ours to divide: ' +
        'start it with systemd-run --user --scope -p Delegate=yes',
    });
    const root = '/sys/fs/cgroup/cpu,cpuacct cannot be written: version 1 of control groups is for root only';
    assert.deepEqual(find(v1, { isWritable }), { missing: root });
    assert.deepEqual(find(''), { missing: 'no control groups are mounted at /sys/fs/cgroup' });
  });

  test('odd lines are no mounts of ours', () => {
    assert.ok('missing' in find('\n - cgroup2 x rw\n1 2 3 4\nx - y'));
    assert.ok(
      'hierarchy' in find(unified, { cgroup: '0::/../../outside\n', isWritable: (at) => at === '/sys/fs/cgroup' }),
    );
    assert.ok('missing' in find(unified, { cgroup: '0::/../..\n', isWritable: () => false }));
  });
});
