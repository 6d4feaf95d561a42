import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SecurityContext } from '../../../../../api/core/container.ts';
import type { PodSpec } from '../../../../../api/core/pod-spec.ts';
import { StartError } from '../../../driver.ts';
import { specInput } from '../testing/spec-input.ts';
import { userOf } from './user.ts';

const files: Record<string, string> = {
  '/etc/passwd': `root:x:0:0:root:/root:/bin/sh
# a comment
web:x:33:34:web:/srv:/bin/false
odd:x:minus:1::/:
`,
  '/etc/group': `root:x:0:
web:x:34:web
disk:x:6:backup,web
tape:x:26:web
far:x:99999999999:
`,
};

interface Case {
  image?: string;
  container?: SecurityContext;
  pod?: PodSpec['securityContext'];
  files?: Record<string, string>;
}

function user({ image = '', container, pod, files: own = files }: Case) {
  const input = specInput({
    ...(container ? { container: { securityContext: container } } : {}),
    ...(pod ? { pod: { securityContext: pod } } : {}),
  });
  const readFile = async (path: string) => (own[path] === undefined ? undefined : Buffer.from(own[path]));
  return userOf({ pod: input.pod, container: input.container.spec, imageUser: image, readFile });
}

const refused = (said: Case, reason: StartError['reason'], message: RegExp) =>
  assert.rejects(user(said), (error) => {
    assert.ok(error instanceof StartError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, message);
    return true;
  });

describe('userOf', () => {
  for (const [what, said, uid, gid, groups] of [
    ['root, when nobody says anything', {}, 0, 0, [0]],
    ["the image's by name, with the groups that list it", { image: 'web' }, 33, 34, [6, 26, 34]],
    ["the image's by number, as its file knows it", { image: '33' }, 33, 34, [6, 26, 34]],
    ["the image's by a number that no file knows", { image: '65532' }, 65532, 0, [0]],
    ["the image's user and group by name", { image: 'web:disk' }, 33, 6, [6, 26]],
    ["the image's user and group by number", { image: '1000:2000' }, 1000, 2000, [2000]],
    ["the container's before its pod's", { container: { runAsUser: 5 }, pod: { runAsUser: 6 } }, 5, 0, [0]],
    ["the pod's before the image's", { image: 'web:disk', pod: { runAsUser: 7 } }, 7, 0, [0]],
    ["a group of the pod's for the image's user", { image: 'web', pod: { runAsGroup: 9 } }, 33, 9, [6, 9, 26]],
    [
      'with fsGroup and supplemental groups',
      { image: 'web', pod: { fsGroup: 70, supplementalGroups: [80, 6] } },
      33,
      34,
      [6, 26, 34, 70, 80],
    ],
    [
      "without the image's groups when the policy is Strict",
      { image: 'web', pod: { supplementalGroupsPolicy: 'Strict', supplementalGroups: [80] } },
      33,
      34,
      [34, 80],
    ],
    ['of an image without any files', { image: '12:13', files: {} }, 12, 13, [13]],
  ] as [string, Case, number, number, number[]][]) {
    test(what, async () => assert.deepEqual(await user(said), { uid, gid, additionalGids: groups }));
  }

  test('whoever must not be root is not, in the words of the kubelet', async () => {
    const container = { runAsNonRoot: true };
    const config = 'CreateContainerConfigError';
    const who = ' \\(pod: "shop_default\\(u1\\)", container: main\\)$';
    for (const image of ['', '0', '0:5']) {
      const words = new RegExp(`^container has runAsNonRoot and image will run as root${who}`);
      await refused({ container, image }, config, words);
    }
    const named =
      '^container has runAsNonRoot and image has non-numeric user \\(web\\), cannot verify user is non-root';
    await refused({ container, image: 'web' }, config, new RegExp(named + who));
    const asked = { container: { runAsNonRoot: true, runAsUser: 0 } };
    await refused(asked, config, new RegExp(`^container's runAsUser breaks non-root policy${who}`));
    assert.equal((await user({ container, image: '65532' })).uid, 65532);
    assert.equal((await user({ container: { runAsNonRoot: true, runAsUser: 8 }, image: 'web' })).uid, 8);
    assert.equal((await user({ container: { runAsNonRoot: false }, pod: { runAsNonRoot: true } })).uid, 0);
  });

  test('a user or group that the image does not know is named', async () => {
    const reason = 'CreateContainerError';
    await refused({ image: 'nobody' }, reason, /^unable to find user nobody: no matching entries in passwd file$/);
    await refused({ image: 'web:none' }, reason, /^unable to find group none: no matching entries in group file$/);
    await refused({ image: 'web', files: {} }, reason, /unable to find user web/);
  });

  test('what is no user is refused, whoever says it', async () => {
    const reason = 'CreateContainerError';
    await refused({ image: 'a:b:c' }, reason, /invalid USER value "a:b:c"/);
    await refused({ image: 'a\0b' }, reason, /invalid USER value "a\\u0000b"/);
    await refused({ image: '4294967295' }, reason, /invalid USER value "4294967295": out of range/);
    await refused({ image: '-1' }, reason, /unable to find user -1/);
    await refused({ image: 'odd' }, reason, /"minus" in the image's files is no uid/);
    await refused({ image: 'web:far' }, reason, /99999999999 is out of range/);
    await refused({ pod: { runAsUser: -1 } }, reason, /-1 is out of range: it is a number from 0 to 2147483647/);
    await refused({ pod: { supplementalGroups: [2 ** 31] } }, reason, /2147483648 is out of range/);
    const huge = { '/etc/passwd': 'x'.repeat(9_000_000) };
    await refused({ image: 'web', files: huge }, reason, /\/etc\/passwd of the image has 9000000 bytes/);
  });
});
