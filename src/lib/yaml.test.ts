import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
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

const paths = `spec:
  template:
    metadata:
      annotations:
        a.b/first: x
        autoscaling.knative.dev/minScale: "abc"
        "a[0].b": y
        "": empty
    spec:
      containers:
        - image: i
          env:
            - name: A
  traffic: []
data: {a.b: {c: 1}, a: {b: {d: 1}}}
`;

test('every way in which an API names a field leads to its line', () => {
  const [document] = parseYaml(paths, 'app.yaml');
  const annotations = 'spec.template.metadata.annotations';
  const table: Record<string, number> = {
    // What API servers answer: Knative's webhook, Kubernetes' field.Path, strict decoding, CRD schemas.
    [`${annotations}[autoscaling.knative.dev/minScale]`]: 6,
    [`${annotations}.autoscaling.knative.dev/minScale`]: 6,
    [`${annotations}["autoscaling.knative.dev/minScale"]`]: 6,
    [`${annotations}['autoscaling.knative.dev/minScale']`]: 6,
    [`${annotations}[a.b/first]`]: 5,
    'spec.template.spec.containers[0].env[0].name': 13,
    'spec.template.spec.containers[0].envv': 11,
    'spec.template.spec.containers[1].image': 10,
    'spec.template.spec.containers[name=x].image': 10,
    'spec.template.spec.containers': 10,
    // What is odd, but has a line.
    [`${annotations}[a[0].b]`]: 7,
    [`${annotations}.a[0].b`]: 7,
    [`${annotations}[]`]: 8,
    [`${annotations}[autoscaling.knative.dev/maxScale]`]: 4,
    [`${annotations}[autoscaling.knative.dev/minScale`]: 4,
    [`${annotations}]`]: 3,
    'spec.traffic[99999999999999999999].percent': 14,
    '.spec.traffic': 14,
    'data.a.b.c': 15,
    'data[a.b][c]': 15,
    '': 1,
    '.': 1,
    '[': 1,
    ']': 1,
    '[0]': 1,
    '<nil>': 1,
    'metadata.name': 1,
    [`spec${'['.repeat(100_000)}`]: 1,
    [`spec.${'.'.repeat(100_000)}`]: 1,
    [`spec.traffic${'[0]'.repeat(100_000)}`]: 14,
  };
  const found = Object.keys(table).map((path) => [path, document?.lineOf(path)]);
  assert.deepEqual(Object.fromEntries(found), table);
});

/** A document of any keys, and every path in it as an API may write it. */
const documents = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant('leaf'),
    fc.dictionary(fc.string({ maxLength: 6, unit: fc.constantFrom(...'ab.[]"/\' 0'.split('')) }), tie('node'), {
      maxKeys: 4,
    }),
    fc.array(tie('node'), { maxLength: 3 }),
  ),
})).node;

test('whatever the keys and whatever the path, looking for its line ends at a line of the document', () => {
  const paths = fc.string({ maxLength: 40, unit: fc.constantFrom(...'ab.[]"/\' 019'.split('')) });
  fc.assert(
    fc.property(documents, paths, (value, path) => {
      const text = JSON.stringify(value, undefined, 1);
      const line = parseYaml(text, 'x')[0]?.lineOf(path) ?? 0;
      assert.ok(line >= 1 && line <= text.split('\n').length, `line ${line}`);
    }),
  );
});

test('the path of a value leads to the line where it stands', () => {
  fc.assert(
    fc.property(documents, fc.boolean(), (value, isBracketed) => {
      const text = JSON.stringify(value, undefined, 1);
      const [document] = parseYaml(text, 'x');
      // Laid out like this, values stand in the order of their lines, one a line; what only closes is no value.
      const lines = text.split('\n').flatMap((line, i) => (/^ *[\]}],?$/.test(line) ? [] : [i + 1]));
      const all = pathsOf(value, '', isBracketed);
      // Keys of brackets, quotes or dots at their ends, and two keys that give one path, may be read in several ways.
      const keys = [...text.matchAll(/"((?:[^"\\]|\\.)*)":/g)].map((match) => match[1] ?? '');
      fc.pre(keys.every((key) => /^[ab0/ ]+(\.[ab0/ ]+)*$/.test(key)) && new Set(all).size === all.length);
      assert.deepEqual(
        all.map((path) => document?.lineOf(path)),
        lines,
      );
    }),
  );
});

function pathsOf(value: unknown, path: string, isBracketed: boolean): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Array.isArray(value)
    ? value.flatMap((item, i) => pathsOf(item, `${path}[${i}]`, isBracketed))
    : Object.entries(value).flatMap(([key, item]) =>
        pathsOf(item, isBracketed ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`, isBracketed),
      );
  return [path, ...inner];
}

test('aliases may stand for much, but not for more than any object holds', () => {
  const hundreds = `a: &a [x]\nb: [${Array(500).fill('*a').join(', ')}]\n`;
  assert.equal(parseYaml(hundreds, 'app.yaml').length, 1);
  const laughs = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (const [i, key] of [...'bcdefghij'].entries()) {
    const before = 'abcdefghi'[i] ?? '';
    laughs.push(`${key}: &${key} [${Array(9).fill(`*${before}`).join(', ')}]`);
  }
  assert.throws(() => parseYaml(laughs.join('\n'), 'app.yaml'), /^YamlError: app\.yaml:7:16: with the alias \*f, /);
  const long = `a: &a ${'x'.repeat(1 << 20)}\nb: [*a, *a, *a]\n---\nc: &a 1\nd: *a\n`;
  assert.equal(parseYaml(long, 'app.yaml').length, 2);
  assert.throws(() => parseYaml(long.replace('[', '[*a, '), 'app.yaml'), /^YamlError: app\.yaml:2:17: .*\*a, /);
});

test('aliases make no circle, and nest no deeper than collections may', () => {
  assert.throws(
    () => parseYaml('a:\n  b: &b\n    c: *b\n', 'x'),
    /^YamlError: x:3:8: the alias \*b stands for .* holds it/,
  );
  assert.throws(() => parseYaml('x: &x\n  <<: *x\n', 'x'), /^YamlError: x:2:7: the alias \*x/);
  assert.throws(() => parseYaml('x: *y\n', 'x'), /^YamlError: x:1:4: there is no anchor &y/);
  const deep = ['a0: &a0 [x]'];
  for (let i = 1; i < 100; i++) deep.push(`a${i}: &a${i} [*a${i - 1}]`);
  assert.throws(() => parseYaml(deep.join('\n'), 'x'), /^YamlError: x:100:\d+: .* nest deeper than 100/);
  assert.equal(parseYaml(deep.slice(0, -1).join('\n'), 'x').length, 1);
});

test('lines are counted as editors do, whatever ends them', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const [document] = parseYaml(`\ufeffa: 1${end}b:${end}  c: 2${end}`, 'x');
    assert.deepEqual([document?.value, document?.lineOf('b.c')], [{ a: 1, b: { c: 2 } }, 3]);
  }
});

test('no text does anything but give documents or say where it is wrong', () => {
  const pieces = [
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '&a ',
    '*a',
    '[',
    ']',
    '{',
    '}',
    ',',
    '"',
    "'",
    '|',
    '>',
    '!!int ',
    '!x ',
    '%',
  ];
  const texts = fc.array(
    fc.constantFrom(...pieces, '---\n', '...\n', '<<: ', '? ', '#', '\t', '\0', '\ufeff', '\r', '0x'),
  );
  fc.assert(
    fc.property(texts, (parts) => {
      try {
        for (const { value, lineOf } of parseYaml(parts.join(''), 'x')) {
          JSON.stringify(value);
          lineOf('a[0].a');
        }
      } catch (error) {
        assert.ok(error instanceof YamlError, String(error));
        assert.match(error.message, /^x:\d+:\d+: /);
      }
    }),
    { numRuns: 2000 },
  );
});
