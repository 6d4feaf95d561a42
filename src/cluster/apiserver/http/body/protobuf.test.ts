import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../../../api/status.ts';
import { bytes, json } from './fixtures/crontab-definition.ts';
import { decodeProtobuf } from './protobuf.ts';

/** A message as [field number, value] pairs: numbers become varints, the rest has a length. */
type Value = number | bigint | string | Buffer | [number, Value][];

function encode(fields: [number, Value][]): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'bigint') {
        return Buffer.concat([varint(BigInt(number) << 3n), varint(BigInt.asUintN(64, BigInt(value)))]);
      }
      const content = typeof value === 'string' ? Buffer.from(value) : Buffer.isBuffer(value) ? value : encode(value);
      return Buffer.concat([varint((BigInt(number) << 3n) | 2n), varint(BigInt(content.length)), content]);
    }),
  );
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function body(apiVersion: string, kind: string, fields: [number, Value][]): Buffer {
  const envelope = encode([
    [
      1,
      [
        [1, apiVersion],
        [2, kind],
      ],
    ],
    [2, encode(fields)],
    [3, ''],
    [4, ''],
  ]);
  return Buffer.concat([Buffer.from('k8s\0'), envelope]);
}

const metadata = (name: string): [number, Value][] => [
  [1, name],
  [2, ''],
  [3, 'default'],
  [4, ''],
  [7, 0],
  [8, []],
  [
    11,
    [
      [1, 'app'],
      [2, name],
    ],
  ],
];

test('a config map: maps, bytes in base64, and nothing of what its sender left empty', () => {
  const sent = body('v1', 'ConfigMap', [
    [1, metadata('a')],
    [
      2,
      [
        [1, 'key'],
        [2, 'value'],
      ],
    ],
    [
      2,
      [
        [1, 'empty'],
        [2, ''],
      ],
    ],
    [
      3,
      [
        [1, 'raw'],
        [2, Buffer.of(0, 255)],
      ],
    ],
  ]);
  assert.deepEqual(decodeProtobuf(sent), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'default', labels: { app: 'a' } },
    data: { key: 'value', empty: '' },
    binaryData: { raw: 'AP8=' },
  });
});

test('a deployment: a zero that is meant stays, quantities are text, ports are numbers or names', () => {
  const probe: [number, Value][] = [
    [
      1,
      [
        [
          2,
          [
            [1, '/ready'],
            [
              2,
              [
                [1, 1],
                [2, 0],
                [3, 'web'],
              ],
            ],
            [3, ''],
            [4, ''],
          ],
        ],
      ],
    ],
    [2, 0],
  ];
  const container: [number, Value][] = [
    [1, 'main'],
    [2, 'image'],
    [
      6,
      [
        [1, ''],
        [2, 0],
        [3, 8080],
        [4, ''],
      ],
    ],
    [
      8,
      [
        [
          1,
          [
            [1, 'cpu'],
            [2, [[1, '250m']]],
          ],
        ],
      ],
    ],
    [11, probe],
  ];
  const volume: [number, Value][] = [
    [1, 'scratch'],
    [2, [[2, [[1, '']]]]],
  ];
  const sent = body('apps/v1', 'Deployment', [
    [1, metadata('web')],
    [
      2,
      [
        [1, 0],
        [
          2,
          [
            [
              1,
              [
                [1, 'app'],
                [2, 'web'],
              ],
            ],
          ],
        ],
        [
          3,
          [
            [1, []],
            [
              2,
              [
                [1, volume],
                [2, container],
                [3, ''],
              ],
            ],
          ],
        ],
        [
          4,
          [
            [1, ''],
            [
              2,
              [
                [
                  1,
                  [
                    [1, 0],
                    [2, 1],
                    [3, ''],
                  ],
                ],
                [
                  2,
                  [
                    [1, 1],
                    [2, 0],
                    [3, '25%'],
                  ],
                ],
              ],
            ],
          ],
        ],
        [5, 0],
      ],
    ],
    [3, []],
  ]);
  const { spec } = decodeProtobuf(sent) as { spec: Record<string, unknown> };
  assert.deepEqual(spec, {
    replicas: 0,
    selector: { matchLabels: { app: 'web' } },
    template: {
      spec: {
        volumes: [{ name: 'scratch', emptyDir: {} }],
        containers: [
          {
            name: 'main',
            image: 'image',
            ports: [{ containerPort: 8080 }],
            resources: { limits: { cpu: '250m' } },
            readinessProbe: { httpGet: { path: '/ready', port: 'web' } },
          },
        ],
      },
    },
    strategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: '25%' } },
  });
});

test('times are RFC 3339: whole seconds, or six digits for a lease', () => {
  const sent = body('coordination.k8s.io/v1', 'Lease', [
    [
      1,
      [
        [1, 'l'],
        [
          8,
          [
            [1, 1_700_000_000],
            [2, 0],
          ],
        ],
      ],
    ],
    [
      2,
      [
        [1, 'me'],
        [2, -1],
        [
          4,
          [
            [1, 1_700_000_000],
            [2, 123_456_789],
          ],
        ],
      ],
    ],
  ]);
  const lease = decodeProtobuf(sent) as { metadata: object; spec: object };
  assert.deepEqual(lease.metadata, { name: 'l', creationTimestamp: '2023-11-14T22:13:20Z' });
  assert.deepEqual(lease.spec, {
    holderIdentity: 'me',
    leaseDurationSeconds: -1,
    renewTime: '2023-11-14T22:13:20.123456Z',
  });
});

test('a review and the options of a deletion', () => {
  const review = body('authorization.k8s.io/v1', 'SelfSubjectAccessReview', [
    [1, []],
    [
      2,
      [
        [
          1,
          [
            [1, 'default'],
            [2, 'create'],
            [5, 'pods'],
          ],
        ],
      ],
    ],
  ]);
  assert.deepEqual((decodeProtobuf(review) as { spec: object }).spec, {
    resourceAttributes: { namespace: 'default', verb: 'create', resource: 'pods' },
  });
  const options = body('v1', 'DeleteOptions', [
    [1, 0],
    [2, [[1, 'u']]],
    [4, 'Foreground'],
    [5, 'All'],
  ]);
  assert.deepEqual(decodeProtobuf(options), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    preconditions: { uid: 'u' },
    propagationPolicy: 'Foreground',
    dryRun: ['All'],
  });
});

test('a kind or field that is not described is refused rather than dropped', () => {
  assert.throws(() => decodeProtobuf(body('batch/v1', 'Job', [])), { code: 415, message: /kind Job is not known/ });
  const sent = body('v1', 'ConfigMap', [[99, 'x']]);
  assert.throws(() => decodeProtobuf(sent), { code: 415, message: /field 99 of ConfigMap is not known/ });
});

test('a damaged body is refused, whatever the damage', () => {
  const whole = body('v1', 'ConfigMap', [
    [1, metadata('a')],
    [
      2,
      [
        [1, 'k'],
        [2, 'v'],
      ],
    ],
  ]);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), fc.boolean(), (at, byte, isCut) => {
      const damaged = isCut ? whole.subarray(0, at) : Buffer.from(whole).fill(byte, at, at + 1);
      try {
        decodeProtobuf(damaged);
      } catch (error) {
        assert.ok(error instanceof ApiError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

/** What Go's JSON says of what was never set. */
function withoutEmpty(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, field: unknown) => {
    if (['creationTimestamp', 'lastTransitionTime'].includes(key) && field === null) return undefined;
    return key === 'status' && isUnset(field) ? undefined : field;
  });
}

const isUnset = (status: unknown): boolean =>
  typeof status === 'object' && status !== null && 'acceptedNames' in status && !('size' in status);

test('a definition is read from the bytes of a Go client as from its JSON', () => {
  assert.deepEqual(withoutEmpty(decodeProtobuf(bytes)), withoutEmpty(json));
});

test('a list of a million items is read in a time that grows with its length', () => {
  const item = encode([[1, 'a']]).subarray(2, 3); // "a"
  const one = Buffer.concat([Buffer.from([0x72, item.length]), item]); // finalizers = 14
  const finalizers = Buffer.concat(Array.from({ length: 300_000 }, () => one));
  const decoded = decodeProtobuf(body('v1', 'ConfigMap', [[1, finalizers]])) as { metadata: { finalizers: string[] } };
  assert.equal(decoded.metadata.finalizers.length, 300_000);
});

test('schemas that are nested without end, and integers that would be damaged, are refused', () => {
  let schema = encode([[5, 'object']]);
  for (let i = 0; i < 3000; i++) schema = encode([[28, schema]]);
  const definition = (props: Buffer): Buffer =>
    body('apiextensions.k8s.io/v1', 'CustomResourceDefinition', [
      [
        2,
        [
          [
            7,
            [
              [1, 'v1'],
              [4, [[1, props]]],
            ],
          ],
        ],
      ],
    ]);
  const isBadRequest = (error: unknown) => error instanceof ApiError && error.code === 400;
  assert.throws(() => decodeProtobuf(definition(schema)), isBadRequest);
  assert.throws(() => decodeProtobuf(definition(encode([[13, 2n ** 53n + 1n]]))), isBadRequest);
  assert.throws(() => decodeProtobuf(definition(encode([[8, [[1, '{"a":']]]]))), isBadRequest);
});
