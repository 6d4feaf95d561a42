import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from 'js-yaml';
import type { BuildSpec } from '../build/build.ts';
import type { UserInfo } from '../user.ts';
import { type Service, ServiceKind } from './service.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const build: BuildSpec = { source: { files: { 'index.js': '' } } };

/** A Service as it comes in, from the YAML of its spec. */
function service(spec: string, metadata: Partial<Service['metadata']> = {}): Service {
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default', ...metadata },
    spec: load(spec) as Service['spec'],
  };
}

/** What the API server does with it: `field: message` of each error. */
function admit(object: Service, old?: Service, user?: UserInfo): string[] {
  const context = { old, user, config: {} };
  ServiceKind.setDefaults?.(object, context);
  return (ServiceKind.validate?.(object, context) ?? []).map(({ field, message }) => `${field}: ${message}`);
}

const plain = 'template: {spec: {containers: [{image: nginx}]}}';
const container = (more: string) => `template: {spec: {containers: [{image: nginx, ${more}}]}}`;
const annotated = (annotation: string, value: string) =>
  `template: {metadata: {annotations: {autoscaling.knative.dev/${annotation}: "${value}"}}, ` +
  'spec: {containers: [{image: nginx}]}}';

test('the defaults are those of Knative', () => {
  const object = service(plain);
  assert.deepEqual(admit(object), []);
  assert.deepEqual(object.spec, {
    template: {
      spec: {
        containers: [
          {
            name: 'user-container',
            image: 'nginx',
            resources: {},
            readinessProbe: { tcpSocket: { port: 0 }, successThreshold: 1 },
          },
        ],
        containerConcurrency: 0,
        timeoutSeconds: 300,
        enableServiceLinks: false,
      },
    },
    traffic: [{ latestRevision: true, percent: 100 }],
  });
  const again = structuredClone(object);
  admit(again, object);
  assert.deepEqual(again, object, 'defaults of what has its defaults change nothing');
});

test('a name that cannot be that of a core Service is refused', () => {
  for (const name of ['9x', 'a.b', 'Bad']) {
    const errors = admit(service(plain, { name }));
    assert.match(errors[0] ?? '', new RegExp(`^metadata.name: Invalid value: "${name}": not a DNS 1035 label`));
  }
});

test('several containers without names are numbered, and only the one with the port is probed', () => {
  const object = service('template: {spec: {containers: [{image: a, ports: [{containerPort: 80}]}, {image: b}]}}');
  assert.deepEqual(admit(object), []);
  const containers = object.spec.template.spec.containers;
  assert.deepEqual(
    containers.map((c) => [c.name, c.readinessProbe !== undefined]),
    [
      ['user-container-0', true],
      ['user-container-1', false],
    ],
  );
});

/** C is the first container, S the template's spec. */
const shortened = (error: string) =>
  error.replace('spec.template.spec.containers[0]', 'C').replace('spec.template.spec', 'S');

test('what is wrong with a spec is said with its field', () => {
  const cases: [spec: string, error: string][] = [
    ['{}', 'S.containers: Required value: missing field(s)'],
    ['template: {spec: {containers: [{name: a}]}}', 'C.image: Required value: missing field(s)'],
    [
      'template: {spec: {containers: [{image: "UPPER case"}]}}',
      'C.image: Invalid value: "UPPER case": Failed to parse image reference',
    ],
    [
      container('name: queue-proxy'),
      'C.name: Invalid value: "queue-proxy": "queue-proxy" is a reserved container name',
    ],
    [
      container('ports: [{containerPort: 8012}]'),
      'C.ports[0].containerPort: Invalid value: 8012: 8012 is a reserved port, please use a different value',
    ],
    [
      container('ports: [{containerPort: 1}, {containerPort: 2}]'),
      'S.containers[*].ports: Invalid value: 2: more than one container port is set: ' +
        'only a single port is allowed across all containers',
    ],
    [
      container('ports: [{containerPort: 80, name: grpc}]'),
      'C.ports[0].name: Invalid value: "grpc": Port name grpc is not allowed: ' +
        "Name must be empty, or one of: 'h2c', 'http1'",
    ],
    [
      container('env: [{name: K_SERVICE, value: a}]'),
      'C.env[0].name: Invalid value: "K_SERVICE": "K_SERVICE" is a reserved environment variable',
    ],
    [container('lifecycle: {}'), 'C.lifecycle: Forbidden: must not set the field(s): a revision does not support it'],
    [
      container('volumeMounts: [{name: v, mountPath: /data}]'),
      'C.volumeMounts[0].name: Invalid value: "v": volumeMount has no matching volume',
    ],
    [
      container('readinessProbe: {httpGet: {path: /}, failureThreshold: 3}'),
      'C.readinessProbe.failureThreshold: Forbidden: failureThreshold is disallowed when periodSeconds is zero',
    ],
    [
      container('securityContext: {runAsUser: -10}'),
      'C.securityContext.runAsUser: Invalid value: -10: expected 0 <= -10 <= 2147483647',
    ],
    [
      'template: {spec: {containers: [{image: nginx}], timeoutSeconds: 601}}',
      'S.timeoutSeconds: Invalid value: 601: expected 0 <= 601 <= 600',
    ],
    [
      'template: {spec: {containers: [{image: nginx}], containerConcurrency: -1}}',
      'S.containerConcurrency: Invalid value: -1: expected 0 <= -1 <= 1000',
    ],
    [
      'template: {spec: {containers: [{image: nginx}], nodeName: n}}',
      'S.nodeName: Forbidden: must not set the field(s): a revision does not support it',
    ],
    [
      'template: {spec: {containers: [{image: a}, {image: b}]}}',
      'S.containers[*].ports: Required value: missing field(s): ' +
        'with several containers, one must have the port that serves',
    ],
    [
      'template: {metadata: {name: other}, spec: {containers: [{image: nginx}]}}',
      'spec.template.metadata.name: Invalid value: "other": "other" must have prefix "web-"',
    ],
  ];
  for (const [spec, error] of cases) assert.deepEqual(admit(service(spec)).map(shortened), [error], spec);
});

test('a service account name that is none is refused in the words of Knative', () => {
  const named = (name: string) =>
    admit(service(`template: {spec: {serviceAccountName: "${name}", containers: [{image: nginx}]}}`)).join();
  const rule =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start " +
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
    String.raw`'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`;
  const field = 'spec.template.spec.serviceAccountName';
  assert.equal(named('foo@bar.baz'), `${field}: Invalid value: foo@bar.baz: ${field}\n${rule}`);
  const long = 'a'.repeat(254);
  assert.equal(named(long), `${field}: Invalid value: ${long}: ${field}\nmust be no more than 253 characters`);
  for (const name of ['', 'default', 'a.b-c']) assert.equal(named(name), '');
});

test('traffic must add up and name its targets', () => {
  const cases: [traffic: string, errors: string[]][] = [
    [
      '[{percent: 150}]',
      [
        'spec.traffic[0].percent: Invalid value: 150: expected 0 <= 150 <= 100',
        'spec.traffic: Invalid value: 150: Traffic targets sum to 150, want 100',
      ],
    ],
    [
      '[{percent: 50}, {revisionName: web-1, percent: 40}]',
      ['spec.traffic: Invalid value: 90: Traffic targets sum to 90, want 100'],
    ],
    [
      '[{percent: 100, revisionName: web-1, latestRevision: true}]',
      [
        'spec.traffic[0].latestRevision: Invalid value: true: ' +
          'may not set revisionName "web-1" when latestRevision is true',
      ],
    ],
    [
      '[{percent: 100, configurationName: web}]',
      ['spec.traffic[0].configurationName: Forbidden: must not set the field(s) in a Service'],
    ],
    [
      '[{percent: 100, tag: a}, {tag: a}]',
      ['spec.traffic[1].tag: Duplicate value: "a": Multiple definitions for "a": also at spec.traffic[0].tag'],
    ],
    [
      '[{percent: 100, url: "http://x"}]',
      ['spec.traffic[0].url: Forbidden: must not set the field(s): the platform fills it in status'],
    ],
  ];
  for (const [traffic, errors] of cases)
    assert.deepEqual(admit(service(`${plain}\ntraffic: ${traffic}`)), errors, traffic);
  assert.match(
    admit(service(`${plain}\ntraffic: [{percent: 100, tag: A_b}]`)).join(),
    /^spec.traffic\[0\].tag: .*not a DNS 1035 label/,
  );
});

test('scaling annotations are within their bounds, on the template', () => {
  const cases: [annotation: string, value: string, message: string][] = [
    ['min-scale', 'x', 'expected a whole number'],
    ['min-scale', '-1', 'expected 0 <= -1 <= 2147483647'],
    ['window', '5s', 'expected 6s <= 5s <= 1h0m0s'],
    ['window', '6500ms', 'must be specified with at most second precision'],
    ['window', 'soon', 'expected a duration such as 90s or 1m30s'],
    ['target', '0', 'target 0 should be at least 0.01'],
    ['target-utilization-percentage', '101', 'expected 1 <= 101 <= 100'],
    ['panic-threshold-percentage', '109', 'expected 110 <= 109 <= 1000'],
    ['target-burst-capacity', '-2', 'expected 0 or more, or -1 for no limit'],
    ['initial-scale', '0', 'initial-scale=0 not allowed by cluster'],
    ['activation-scale', '1', 'activation-scale=1 must be greater than 1'],
    [
      'class',
      'other.knative.dev',
      'the classes of autoscaling.knative.dev are kpa.autoscaling.knative.dev and hpa.autoscaling.knative.dev',
    ],
    ['metric', 'cpu', 'the metrics of class kpa.autoscaling.knative.dev are concurrency and rps'],
    ['scale-down-delay', '2h', 'expected 0s <= 2h <= 1h0m0s'],
  ];
  for (const [annotation, value, message] of cases) {
    const field = `spec.template.metadata.annotations[autoscaling.knative.dev/${annotation}]`;
    assert.deepEqual(admit(service(annotated(annotation, value))), [`${field}: Invalid value: "${value}": ${message}`]);
  }
  assert.deepEqual(admit(service(annotated('something-new', '1'))), [], 'unknown annotations are accepted');
  assert.match(
    admit(service(plain, { annotations: { 'autoscaling.knative.dev/min-scale': '1' } })).join(),
    /must be put under "spec.template.metadata.annotations" to work/,
  );
  const both = service(plain);
  both.spec.template.metadata = {
    annotations: { 'autoscaling.knative.dev/min-scale': '5', 'autoscaling.knative.dev/maxScale': '2' },
  };
  assert.match(admit(both).join(), /max-scale=2 is less than min-scale=5/);
});

test('a revision name of one’s own must change with the template', () => {
  const old = service('template: {metadata: {name: web-a}, spec: {containers: [{image: nginx}]}}');
  assert.deepEqual(admit(old), []);
  assert.deepEqual(admit(structuredClone(old), old), []);
  const changed = structuredClone(old);
  changed.spec.template.spec.containers[0] = { name: 'user-container', image: 'httpd' };
  assert.match(admit(changed, old).join(), /^spec.template.metadata.name: .*without a name change/);
});

test('with a build no template is needed, and its image is the build’s', () => {
  const object = service('{}');
  object.spec.build = build;
  assert.deepEqual(admit(object), []);
  assert.equal(object.spec.template.spec.containers[0]?.name, 'user-container');

  const withImage = service(plain);
  withImage.spec.build = build;
  assert.match(admit(withImage).join(), /containers\[0\].image: Forbidden: spec.build makes the image/);
  const withoutBuild = service('template: {spec: {containers: [{image: "build://output"}]}}');
  assert.match(admit(withoutBuild).join(), /there is no spec.build that makes this image/);
});

test('spec.build is sticky: a client that does not know it keeps it, null or an image of one’s own removes it', () => {
  const old = service('template: {spec: {containers: [{image: "build://output"}]}}');
  old.spec.build = build;
  assert.deepEqual(admit(old), []);
  const update = (image: string | undefined, given?: null) => {
    const object = structuredClone(old);
    if (given === null) object.spec.build = null;
    else delete object.spec.build;
    const container = object.spec.template.spec.containers[0];
    if (container && image !== undefined) container.image = image;
    const errors = admit(object, old);
    return { hasBuild: object.spec.build !== undefined, image: container?.image, errors };
  };
  assert.deepEqual(update(undefined), { hasBuild: true, image: 'build://output', errors: [] });
  // kn writes the digest of the newest revision into what it PUTs.
  const pinned = `registry.localhost/default/web@${digest}`;
  assert.deepEqual(update(pinned), { hasBuild: true, image: 'build://output', errors: [] });
  assert.deepEqual(update('nginx'), { hasBuild: false, image: 'nginx', errors: [] });
  assert.deepEqual(update('nginx', null), { hasBuild: false, image: 'nginx', errors: [] });
  assert.equal(update(undefined, null).errors.length, 1);
});

test('who made it and who last changed its spec are noted, for good, whoever else writes it', () => {
  const [ada, bob] = ['ada', 'bob'].map((name) => ({ name, groups: [] }));
  const notes = ({ metadata: { annotations = {} } }: Service) =>
    ['creator', 'lastModifier'].map((key) => annotations[`serving.knative.dev/${key}`]);
  const made = service(plain, { annotations: { 'serving.knative.dev/creator': 'mallory' } });
  assert.deepEqual(admit(made, undefined, ada), []);
  assert.deepEqual(notes(made), ['ada', 'ada']);

  const labelled = service(plain);
  assert.deepEqual(admit(labelled, made, bob), []);
  assert.deepEqual(notes(labelled), ['ada', 'ada']);
  const changed = service(container('args: [-v]'));
  assert.deepEqual(admit(changed, made, bob), []);
  assert.deepEqual(notes(changed), ['ada', 'bob']);
  const worked = service(container('args: [-v]'));
  assert.deepEqual(admit(worked, made), []);
  assert.deepEqual(notes(worked), ['ada', 'ada']);

  for (const [key, errors] of [
    ['creator', 1],
    ['lastModifier', 1],
  ] as const) {
    const forged = service(plain, { annotations: { [`serving.knative.dev/${key}`]: 'mallory' } });
    assert.equal(admit(forged, made, bob).length, errors, key);
  }
  const owned = service(plain, { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'u' }] });
  assert.deepEqual(admit(owned, undefined, ada), []);
  assert.deepEqual(notes(owned), [undefined, undefined]);
});

test('malformed specs do not throw', () => {
  for (const spec of ['template: {spec: {}}', 'template: {}', 'traffic: []', 'template: {spec: {containers: []}}']) {
    assert.notEqual(admit(service(spec)).length, 0, spec);
  }
});
