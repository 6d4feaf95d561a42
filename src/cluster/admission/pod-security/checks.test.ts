import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { told, violations } from './checks.ts';
import type { Level, Version } from './levels.ts';
import { corpus } from './testing/corpus.ts';

/** What Kubernetes 1.34 says of each pod of the corpus, and where; nothing, where it lets the pod in. */
const verdicts = JSON.parse(readFileSync(new URL('testing/verdicts.json', import.meta.url), 'utf8')) as Record<
  string,
  Record<string, string>
>;

const verdictsOf = (name: string) =>
  Object.entries(verdicts[name] ?? {}).flatMap(([text, at]) => at.split(' ').map((each) => [text, each] as const));

test('every pod of the corpus gets the verdict of Kubernetes, word for word, at each level and version', () => {
  assert.deepEqual(Object.keys(verdicts).sort(), Object.keys(corpus).sort());
  for (const [name, pod] of Object.entries(corpus)) {
    for (const [expected, at] of verdictsOf(name)) {
      const [level = '', version = ''] = at.split(':');
      const minor: Version = version === 'latest' ? version : Number(version.slice('v1.'.length));
      const said = told(violations(pod, { level: level as Level, version: minor }));
      assert.equal(said, expected, `${name} at ${at}`);
    }
  }
});

test('for each check there are pods that pass and pods that fail', () => {
  const said = Object.keys(verdicts).flatMap((name) => verdictsOf(name).map(([text]) => text));
  for (const reason of [
    ...['allowPrivilegeEscalation != false', 'forbidden AppArmor profile', 'non-default capabilities'],
    ...['unrestricted capabilities', 'host namespaces', 'hostPath volumes', 'hostPort', 'probe or lifecycle host'],
    ...['privileged', 'procMount', 'restricted volume types', 'runAsNonRoot != true', 'runAsUser=0', 'seLinuxOptions'],
    ...['seccompProfile', 'forbidden sysctls', 'hostProcess'],
  ]) {
    assert.ok(
      said.some((text) => text.includes(reason)),
      reason,
    );
  }
  assert.deepEqual(verdictsOf('held to everything').find(([, at]) => at === 'restricted:latest')?.[0], '');
  assert.deepEqual(violations(corpus.privileged as never, { level: 'privileged', version: 'latest' }), []);
});
