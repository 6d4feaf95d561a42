import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Build, BuildKind, type BuildSpec, buildTimeoutMs, validateBuildSpec } from './build.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const git = { url: 'https://example.com/app.git', revision: 'main' };

test('a good build spec has no errors', () => {
  const good: BuildSpec[] = [
    { source: { git } },
    { source: { git: { url: 'git@example.com:team/app.git', revision: 'refs/tags/v1.0' }, subPath: 'functions/a' } },
    { source: { folder: './orders' }, timeout: '0' },
    { source: { ociArtifact: { image: `registry.localhost/default/orders-source@${digest}` } }, timeout: '24h' },
    { source: { files: { 'index.js': 'export const handle = () => 1' } }, template: { name: 'auto' } },
  ];
  for (const spec of good) assert.deepEqual(validateBuildSpec(spec, 'spec'), [], JSON.stringify(spec));
});

test('what is wrong with a build spec is said with the field and the value', () => {
  const table: [BuildSpec, string, RegExp][] = [
    [{ source: {} }, 'spec.source', /exactly one of git, folder, ociArtifact, files/],
    [{ source: { git, folder: '.' } }, 'spec.source', /not git and folder/],
    [{ source: { git: { ...git, url: 'ext::sh -c id' } } }, 'spec.source.git.url', /ext::sh -c id/],
    [{ source: { git: { ...git, url: 'file:///etc' } } }, 'spec.source.git.url', /must be https/],
    [{ source: { git: { ...git, url: '--upload-pack=x' } } }, 'spec.source.git.url', /upload-pack/],
    [{ source: { git: { ...git, url: 'https://-oProxyCommand=x/a' } } }, 'spec.source.git.url', /Proxy/],
    [{ source: { git: { ...git, url: 'ssh://a@-oProxyCommand=x/a' } } }, 'spec.source.git.url', /Proxy/],
    [{ source: { git: { ...git, url: 'a@-oProxyCommand=x:a' } } }, 'spec.source.git.url', /Proxy/],
    [{ source: { git: { ...git, url: 'ssh://a:b@c@-oProxyCommand=x/a' } } }, 'spec.source.git.url', /Proxy/],
    [{ source: { git: { ...git, url: 'git://example.com/a' } } }, 'spec.source.git.url', /must be https/],
    [{ source: { git: { ...git, url: 'https:///etc' } } }, 'spec.source.git.url', /must be https/],
    [{ source: { git: { ...git, url: 'https://a/b\n--upload-pack=x' } } }, 'spec.source.git.url', /must be https/],
    [{ source: { git: { ...git, revision: '--exec=x' } } }, 'spec.source.git.revision', /a branch, a tag/],
    [{ source: { git: { ...git, revision: 'a..b' } } }, 'spec.source.git.revision', /a\.\.b/],
    [{ source: { git: { ...git, revision: '' } } }, 'spec.source.git.revision', /a branch, a tag/],
    [{ source: { git, subPath: '../other' } }, 'spec.source.subPath', /\.\.\/other/],
    [{ source: { git, subPath: '/etc' } }, 'spec.source.subPath', /inside the source/],
    [{ source: { files: { '../a': '' } } }, 'spec.source.files[../a]', /stays inside/],
    [{ source: { files: {} } }, 'spec.source.files', /at least one/],
    [{ source: { ociArtifact: { image: 'a/b:latest' } } }, 'spec.source.ociArtifact.image', /by digest/],
    [{ source: { git }, timeout: '25h' }, 'spec.timeout', /25h/],
    [{ source: { git }, timeout: '-1s' }, 'spec.timeout', /from 0 to 24h/],
    [{ source: { git }, timeout: 'soon' }, 'spec.timeout', /such as 90s/],
    [{ source: { git }, template: { name: 'kaniko' } }, 'spec.template.name', /"auto"/],
    [
      { source: { git }, template: { name: 'auto', arguments: [{ name: 'IMAGE', value: 'x' }] } },
      'spec.template.arguments[0]',
      /no parameter named "IMAGE"/,
    ],
    [{ source: { git }, env: [{ name: 'LD_PRELOAD', value: 'x.so' }] }, 'spec.env[0].name', /LD_PRELOAD/],
    [{ source: { git }, env: [{ name: '1X' }] }, 'spec.env[0].name', /1X/],
  ];
  for (const [spec, field, message] of table) {
    const errors = validateBuildSpec(spec, 'spec');
    assert.equal(errors.length, 1, JSON.stringify({ spec, errors }));
    assert.equal(errors[0]?.field, field);
    assert.match(errors[0]?.message ?? '', message);
  }
});

test('a build may take ten minutes unless it says otherwise', () => {
  assert.equal(buildTimeoutMs({ source: { git } }), 600_000);
  assert.equal(buildTimeoutMs({ source: { git }, timeout: '0' }), 600_000);
  assert.equal(buildTimeoutMs({ source: { git }, timeout: '90s' }), 90_000);
});

test('a Build is the same whatever the order of its keys, and another with any other value', () => {
  const build = (spec: object): Build => ({
    apiVersion: 'build.knative.dev/v1alpha1',
    kind: 'Build',
    metadata: { name: 'a', namespace: 'default' },
    spec: spec as BuildSpec,
  });
  const errors = (now: object, old: object) => BuildKind.validate?.(build(now), { old: build(old), config: {} }) ?? [];
  const one = { source: { git: { url: git.url, revision: 'main' }, subPath: 'a' }, timeout: '1h' };
  const other = { timeout: '1h', source: { subPath: 'a', git: { revision: 'main', url: git.url } } };
  assert.deepEqual(errors(one, other), []);
  assert.equal(errors({ ...one, timeout: '2h' }, other)[0]?.field, 'spec');
  const files = (more: object) => ({ source: { files: { 'index.js': '', ...more } } });
  assert.equal(errors(files({ constructor: '' }), files({}))[0]?.field, 'spec', 'a file may have any name');
  assert.equal(errors(files({}), files({ constructor: '' }))[0]?.field, 'spec');
});
