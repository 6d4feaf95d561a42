import assert from 'node:assert/strict';
import { test } from 'node:test';
import { familyOf, isOfUserNamespace, lackOf } from './support.ts';

test('a system is told the command of its own packages', () => {
  const cases: [text: string, family: string][] = [
    ['PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', 'debian'],
    ['ID=ubuntu\nID_LIKE=debian\n', 'debian'],
    ['NAME="Fedora Linux"\nID=fedora\n', 'fedora'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', 'fedora'],
    ['ID=arch\n', 'arch'],
    ['ID=manjaro\nID_LIKE=arch\n', 'arch'],
    ['ID=alpine\n', 'alpine'],
    ['', 'debian'],
  ];
  for (const [text, family] of cases) assert.equal(familyOf(text), family, text);
});

test('what is missing is named together, with one command that installs it all', () => {
  assert.equal(lackOf([], true, 'debian'), undefined);
  assert.deepEqual(lackOf(['ip', 'nft', 'unshare', 'nsenter'], false, 'fedora'), {
    what: 'containers need programs that are not here: runc (or crun, or youki), ip, nft, unshare, nsenter',
    remedy: 'install them: dnf install -y runc iproute nftables util-linux',
  });
  assert.equal(lackOf(['nft'], true, 'alpine')?.remedy, 'install them: apk add nftables');
  assert.equal(lackOf(['ip'], true, 'arch')?.remedy, 'install them: pacman -S --needed iproute2');
});

test('root of a user namespace is not taken for root of the machine', () => {
  assert.equal(isOfUserNamespace('         0          0 4294967295\n'), false);
  assert.equal(isOfUserNamespace(''), false); // A kernel without user namespaces.
  assert.equal(isOfUserNamespace('         0       1000          1\n'), true);
  assert.equal(isOfUserNamespace('         0     100000      65536\n'), true);
  assert.equal(isOfUserNamespace('         0       1000          1\n         1     100000      65536\n'), true);
});
