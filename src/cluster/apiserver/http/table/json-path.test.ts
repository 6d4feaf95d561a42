import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileJsonPath } from './json-path.ts';

const service = {
  metadata: { name: 'orders', labels: { 'app.kubernetes.io/name': 'shop' }, annotations: { 'a.b/c': '1' } },
  spec: { replicas: 0, paused: false, ports: [{ port: 80 }, { port: 443, name: 'https' }] },
  status: {
    conditions: [
      { type: 'ConfigurationsReady', status: 'True' },
      { type: 'Ready', status: 'False', reason: 'BuildFailed' },
    ],
    url: null,
  },
};

const cases: [string, unknown[]][] = [
  ['.metadata.name', ['orders']],
  ['{.metadata.name}', ['orders']],
  ['metadata.name', ['orders']],
  ['$.metadata.name', ['orders']],
  ['.spec.replicas', [0]],
  ['.spec.paused', [false]],
  ['.spec.absent.deeper', []],
  ['.status.url', []],
  ['.status.conditions[?(@.type=="Ready")].status', ['False']],
  [".status.conditions[?(@.type=='Ready')].reason", ['BuildFailed']],
  ['.status.conditions[?(@.type == "Ready")].reason', ['BuildFailed']],
  ['.status.conditions[?(@.reason)].type', ['Ready']],
  ['.status.conditions[?(@.status!="True")].type', ['Ready']],
  ['.spec.ports[*].port', [80, 443]],
  ['.spec.ports[?(@.port>100)].name', ['https']],
  ['.spec.ports[0].port', [80]],
  ['.spec.ports[-1].port', [443]],
  ['.spec.ports[0:1].port', [80]],
  ['.spec.ports[9].port', []],
  [".metadata.labels['app.kubernetes.io/name']", ['shop']],
  ['.metadata.labels.app\\.kubernetes\\.io/name', ['shop']],
  ['.metadata.annotations.a\\.b/c', ['1']],
  ['..port', [80, 443]],
  ['.metadata.labels.*', ['shop']],
  ['.metadata.constructor', []],
];

for (const [path, expected] of cases) {
  test(`${path} leads to ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(compileJsonPath(path)(service), expected);
  });
}

test('a path that cannot be read is a syntax error that names it', () => {
  for (const path of ['.a[', '.a[?(b)]', '.a[?(@.b==c)]', '.a b']) {
    assert.throws(() => compileJsonPath(path), { name: 'SyntaxError', message: /^JSONPath \.a/ });
  }
});
