/** Files for `kittiwake apply -f`: YAML as it should not be. */
const map = (line: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\n${line}\n`;
const service = (spec: string) =>
  `apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: yaml}\nspec: ${spec}\n`;
const anchors = (levels: number) =>
  Array.from(
    { length: levels },
    (_, i) =>
      `a${i}: &a${i} [${
        i === 0
          ? 'x,x,x,x,x,x,x,x,x'
          : Array(9)
              .fill(`*a${i - 1}`)
              .join(',')
      }]`,
  ).join('\n');

export const manifests: Record<string, string | Buffer> = {
  nothing: '',
  'dashes only': '---\n---\n---\n',
  'ten thousand documents': '---\n'.repeat(10_000),
  'a scalar': 'hello',
  'a list': '- a\n- b\n',
  'aliases that grow': anchors(9),
  'an alias of itself': 'a: &a [*a]\n',
  'an alias of nothing': 'a: *nothing\n',
  'merge keys that grow': map(`data: &d {a: b}\nx: {<<: [*d, *d, *d]}`),
  'ten thousand deep': `${'['.repeat(10_000)}${']'.repeat(10_000)}`,
  'braces that never end': '{'.repeat(100_000),
  'a key twice': map('data: {a: b}\ndata: {a: c}'),
  'a tag that runs': map('data: !!js/function "function() {}"'),
  'a tag that nobody knows': map('data: !explode {a: b}'),
  'a tab': 'apiVersion: v1\n\tkind: ConfigMap\n',
  NUL: 'apiVersion: v1\0kind: ConfigMap\n',
  'UTF-16': Buffer.from('apiVersion: v1\nkind: ConfigMap\n', 'utf16le'),
  'bytes that are no UTF-8': Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe]),
  'a key of prototypes': map('data: {__proto__: x, constructor: y}'),
  'a key that is a map': '? {a: b}\n: c\n',
  'no kind': 'apiVersion: v1\nmetadata: {name: a}\n',
  'a kind of a number': 'apiVersion: 1\nkind: 2\nmetadata: {name: 3}\n',
  'a kind of prototypes': 'apiVersion: v1\nkind: __proto__\nmetadata: {name: a}\n',
  'a name that is a date': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 2026-01-01}\ndata: {a: 0o17}\n',
  'a bracketed key in an error': service(
    '{template: {metadata: {annotations: {autoscaling.knative.dev/minScale: "abc"}}, ' +
      'spec: {containers: [{image: x}]}}}',
  ),
  'a folder of dots': service(
    '{build: {source: {folder: ../../../../etc}}, template: {spec: {containers: [{image: "build://output"}]}}}',
  ),
  'a line of 1 MB': map(`data: {a: ${'x'.repeat(1_000_000)}}`),
  'a hundred thousand keys': map(`data:\n${Array.from({ length: 100_000 }, (_, i) => `  k${i}: v`).join('\n')}`),
};
