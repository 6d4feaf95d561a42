import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseYaml, YamlError } from './yaml.ts';

const text = `apiVersion: v1
spec:
  traffic:
    - percent: 50
    - tag: x
      percent: 150
---
# nothing here
---
kind: Two
metadata: {name: b, labels: {a.b/c: d}}
`;

test('a field is found on its line, an absent one on the line of its nearest parent', () => {
  const [first, second] = parseYaml(text, 'app.yaml');
  assert.equal(first?.lineOf('spec.traffic[1].percent'), 6);
  assert.equal(first?.lineOf('spec.traffic[0].percent'), 4);
  assert.equal(first?.lineOf('spec.traffic[1].revisionName'), 5);
  assert.equal(first?.lineOf('spec.build.source'), 2);
  assert.equal(second?.lineOf('metadata.name'), 11);
  assert.equal(second?.lineOf('spec'), 10);
});

test('scalars are read as Kubernetes reads them: octal modes, yes and no, dates as text', () => {
  const [document] = parseYaml('mode: 0644\nyes: yes\nno: off\nday: 2026-01-02\ntime: "12:30"\n', 'x');
  assert.deepEqual(document?.value, { mode: 420, true: true, false: false, day: '2026-01-02', time: '12:30' });
});

test('a syntax error names file, line and column', () => {
  assert.throws(() => parseYaml('a:\n  - b\n c: 3\n', 'app.yaml'), {
    name: 'YamlError',
    message: 'app.yaml:3:2: bad indentation of a mapping entry',
  });
  assert.throws(() => parseYaml('a: 1\na: 2\n', 'app.yaml'), /^YamlError: app.yaml:2:1: duplicated mapping key/);
});

test('an alias bomb is refused', () => {
  const bomb = `a: &a [x]\nb: [${Array(101).fill('*a').join(', ')}]\n`;
  assert.throws(() => parseYaml(bomb, 'app.yaml'), YamlError);
});
