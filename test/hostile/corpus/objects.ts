/** Objects for the API, as JSON text; what is accepted is reconciled by whoever cares for its kind. */
export interface ApiCase {
  method: 'POST' | 'PUT' | 'PATCH' | 'GET' | 'DELETE';
  path: string;
  type?: string;
  body?: string;
}

const aliases = ['a: &a [x,x,x,x,x,x]', 'b: &b [*a,*a,*a,*a,*a]', 'c: &c [*b,*b,*b,*b,*b]', 'd: [*c,*c,*c,*c,*c]'].join(
  '\n',
);
const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const core = '/api/v1/namespaces/default';
const serving = '/apis/serving.knative.dev/v1/namespaces/default';
const eventing = '/apis/eventing.knative.dev/v1/namespaces/default';
const builds = '/apis/build.knative.dev/v1alpha1/namespaces/default';
const apps = '/apis/apps/v1/namespaces/default';
const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

const post = (path: string, body: unknown): ApiCase => ({
  method: 'POST',
  path,
  body: typeof body === 'string' ? body : JSON.stringify(body),
});
const configMap = (change: object) => post(`${core}/configmaps`, { metadata: { name: 'h' }, ...change });
const pod = (spec: object, metadata: object = {}) =>
  post(`${core}/pods`, {
    metadata: { generateName: 'h-', ...metadata },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: 'registry.localhost/none:1' }],
      ...spec,
    },
  });
const container = (change: object) =>
  pod({ containers: [{ name: 'c', image: 'registry.localhost/none:1', ...change }] });
const service = (spec: object, metadata: object = {}) =>
  post(`${serving}/services`, {
    metadata: { generateName: 'h-', ...metadata },
    spec: { template: { spec: { containers: [{ image: 'registry.localhost/none:1' }] } }, ...spec },
  });
const annotated = (annotations: object) =>
  service({ template: { metadata: { annotations }, spec: { containers: [{ image: 'registry.localhost/none:1' }] } } });
const trigger = (spec: object) =>
  post(`${eventing}/triggers`, {
    metadata: { generateName: 'h-' },
    spec: { broker: 'hostile', subscriber: { uri: 'http://127.0.0.1:9/' }, ...spec },
  });
const definition = (name: string, schema: unknown) =>
  post(crds, {
    metadata: { name: `${name}s.hostile.example` },
    spec: {
      group: 'hostile.example',
      scope: 'Namespaced',
      names: { plural: `${name}s`, singular: name, kind: `Hostile${name}` },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  });
const patch = (type: string, body: string): ApiCase => ({
  method: 'PATCH',
  path: `${core}/configmaps/victim`,
  type: `application/${type}-patch+json`,
  body,
});
const get = (path: string): ApiCase => ({ method: 'GET', path });
const doubled = (times: number) =>
  JSON.stringify(
    Array.from({ length: times }, (_, i) => ({ op: 'copy', from: '/data', path: `/metadata/annotations/a${i}` })),
  );

export const objects: Record<string, ApiCase> = {
  // Any object
  'no JSON': post(`${core}/configmaps`, '{'),
  null: post(`${core}/configmaps`, 'null'),
  'an array': post(`${core}/configmaps`, '[]'),
  'metadata that is an array': configMap({ metadata: [] }),
  'metadata that is null': configMap({ metadata: null }),
  'a name that is a number': configMap({ metadata: { name: 5 } }),
  'a name of dots': configMap({ metadata: { name: '..' } }),
  'a name of slashes': configMap({ metadata: { name: 'a/../../b' } }),
  'a name of 10 kB': configMap({ metadata: { name: 'a'.repeat(10_000) } }),
  'a name that is __proto__': configMap({ metadata: { name: '__proto__' } }),
  'a generated name of 300 characters': configMap({ metadata: { generateName: 'a'.repeat(300) } }),
  'labels that are a list': configMap({ metadata: { name: 'h', labels: ['a'] } }),
  'a label of 1 MB': configMap({ metadata: { name: 'h', labels: { a: 'x'.repeat(1_000_000) } } }),
  'annotations of 300 kB': configMap({ metadata: { name: 'h', annotations: { a: 'x'.repeat(300_000) } } }),
  'ten thousand finalizers': configMap({
    metadata: { name: 'h-finalizers', finalizers: Array.from({ length: 10_000 }, (_, i) => `a.example/${i}`) },
  }),
  'an owner that is itself': configMap({
    metadata: {
      name: 'h-owner',
      ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'h-owner', uid: 'x' }],
    },
  }),
  'an owner of a kind that is not': configMap({
    metadata: { name: 'h-owned', ownerReferences: [{ apiVersion: 'a/b/c', kind: '', name: '', uid: '' }] },
  }),
  'a thousand owners': configMap({
    metadata: {
      name: 'h-many',
      ownerReferences: Array.from({ length: 1_000 }, (_, i) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        name: `p${i}`,
        uid: `u${i}`,
      })),
    },
  }),
  'a deletion timestamp of its own': configMap({ metadata: { name: 'h-deleted', deletionTimestamp: 'yesterday' } }),
  'a creation timestamp of nonsense': configMap({ metadata: { name: 'h-created', creationTimestamp: 'x' } }),
  'managed fields of nonsense': configMap({ metadata: { name: 'h-managed', managedFields: [{ fieldsV1: 5 }] } }),
  'a resource version of nonsense': configMap({ metadata: { name: 'h-rv', resourceVersion: '-1e9' } }),
  'data nested 10,000 deep': post(`${core}/configmaps`, `{"metadata":{"name":"h-deep"},"data":${deep(10_000)}}`),
  'data that is a number': configMap({ data: { a: 5 } }),
  'keys of dots': configMap({ metadata: { name: 'h-dots' }, data: { '..': 'a', '../../etc': 'b' } }),
  'keys of prototypes': post(
    `${core}/configmaps`,
    '{"metadata":{"name":"h-proto"},"data":{"__proto__":"a","constructor":"b","toString":"c"}}',
  ),
  'a key twice': post(`${core}/configmaps`, '{"metadata":{"name":"h-twice"},"data":{"a":"1","a":"2"}}'),
  'numbers beyond all bounds': post(`${core}/configmaps`, '{"metadata":{"name":"h-n","generation":1e400},"data":{}}'),
  'a lone surrogate': post(`${core}/configmaps`, '{"metadata":{"name":"h-s"},"data":{"a":"\\ud800"}}'),
  'an object of 4 MB': configMap({ metadata: { name: 'h-big' }, data: { a: 'x'.repeat(4_000_000) } }),
  'an object of 1 MB': configMap({ metadata: { name: 'h-1mb' }, data: { a: 'x'.repeat(1_000_000) } }),
  'base64 that is none': post(`${core}/secrets`, { metadata: { name: 'h' }, data: { a: '!!!' } }),
  'protobuf that is none': {
    ...post(`${core}/configmaps`, 'k8s\0\xff\xff\xff'),
    type: 'application/vnd.kubernetes.protobuf',
  },
  'a type that nobody knows': { ...post(`${core}/configmaps`, 'x'), type: 'application/cbor' },
  'YAML of aliases': {
    ...post(`${core}/configmaps`, aliases),
    type: 'application/yaml',
  },
  // Patches of a victim
  'forty copies of everything': patch('json', doubled(40)),
  'a copy of itself into itself': patch('json', '[{"op":"copy","from":"","path":"/data/a"}]'),
  'ten thousand operations': patch(
    'json',
    JSON.stringify(Array(10_000).fill({ op: 'test', path: '/kind', value: 'x' })),
  ),
  'a path of 100,000 parts': patch('json', JSON.stringify([{ op: 'add', path: '/a'.repeat(100_000), value: 1 }])),
  'a path of prototypes': patch('json', '[{"op":"add","path":"/__proto__/polluted","value":1}]'),
  'an index beyond all bounds': patch('json', '[{"op":"add","path":"/metadata/finalizers/99999999999","value":"a"}]'),
  'a move of the whole': patch('json', '[{"op":"move","from":"","path":"/data/x"}]'),
  'a removal of the whole': patch('json', '[{"op":"remove","path":""}]'),
  'no operations': patch('json', '{}'),
  'operations of nonsense': patch('json', '[null,5,{"op":"explode"}]'),
  'a merge of null': patch('merge', 'null'),
  'a merge 10,000 deep': patch('merge', deep(10_000)),
  'a merge of prototypes': patch('merge', '{"__proto__":{"polluted":1},"data":{"constructor":null}}'),
  'a strategic merge of directives': patch('strategic-merge', '{"$patch":"explode","data":{"$retainKeys":[5]}}'),
  'a strategic merge of lists': patch(
    'strategic-merge',
    '{"metadata":{"$setElementOrder/finalizers":[{}],"finalizers":[null]}}',
  ),
  // Questions
  'a selector of 100,000 requirements': get(`${core}/pods?labelSelector=${'a%2C'.repeat(3_000)}a`),
  'a selector of nonsense': get(`${core}/pods?labelSelector=${encodeURIComponent('a in (,')}`),
  'a field selector of nonsense': get(`${core}/pods?fieldSelector=${encodeURIComponent('__proto__.x=1,=,!=')}`),
  'a limit below zero': get(`${core}/pods?limit=-5&continue=%00`),
  'a token of nonsense': get(`${core}/pods?limit=1&continue=${Buffer.from('{"a":').toString('base64')}`),
  'a version of the far future': get(`${core}/pods?resourceVersion=99999999999999999999&resourceVersionMatch=Exact`),
  'a watch that ends at once': get(`${core}/pods?watch=1&timeoutSeconds=0&resourceVersion=x`),
  'a path of encoded slashes': get(`${core}/pods/%2e%2e%2f%2e%2e`),
  'a path of a broken escape': get(`${core}/pods/%zz`),
  'logs of nobody': get(`${core}/pods/nobody/log?tailLines=-1&sinceSeconds=x&limitBytes=-9`),
  // Definitions of kinds
  'a definition without a schema': definition('a', undefined),
  'a schema nested 500 deep': definition('b', JSON.parse(schemaOf(500))),
  'a schema with a pattern that never ends': definition('c', {
    type: 'object',
    properties: { spec: { type: 'string', pattern: '^(a+)+$' } },
  }),
  'a schema that is no schema': definition('d', { type: 'explode', properties: 5, required: 'a', enum: {} }),
  'a schema with a default of another type': definition('e', {
    type: 'object',
    properties: { spec: { type: 'integer', default: 'x' } },
  }),
  'columns of nonsense': post(crds, {
    metadata: { name: 'fs.hostile.example' },
    spec: {
      group: 'hostile.example',
      scope: 'Namespaced',
      names: { plural: 'fs', singular: 'f', kind: 'HostileF' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          additionalPrinterColumns: [{ name: 'A', type: 'date', jsonPath: '.metadata[?(@.a)]..x[-1]' }],
        },
      ],
    },
  }),
  // Pods
  'no containers': pod({ containers: [] }),
  'a container of the wrong types': container({ command: 'sh', args: {}, env: { a: 1 } }),
  'a command with NUL': container({ command: ['a\0b'] }),
  'variables that grow': container({
    env: Array.from({ length: 40 }, (_, i) => ({
      name: `V${i}`,
      value: i === 0 ? 'x'.repeat(50) : `$(V${i - 1})`.repeat(2),
    })),
  }),
  'a variable of itself': container({
    env: [
      { name: 'A', value: '$(A)$(B)' },
      { name: 'B', value: '$(A)' },
    ],
  }),
  'a variable with NUL': container({ env: [{ name: 'A', value: 'a\0b' }] }),
  'a field that is not': container({
    env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: "metadata.labels['" } } }],
  }),
  'a port beyond all bounds': container({ ports: [{ containerPort: 99_999 }] }),
  'a probe of everything': container({
    livenessProbe: { exec: { command: ['true'] }, httpGet: { port: 1 }, tcpSocket: { port: 'x' } },
  }),
  'a probe of a name that is not': container({ readinessProbe: { httpGet: { port: 'nothing', path: '\r\n' } } }),
  'a probe every 0 seconds': container({ readinessProbe: { tcpSocket: { port: 1 }, periodSeconds: -1 } }),
  'a working directory of dots': container({ workingDir: '../../../..' }),
  'a mount of dots': pod({
    volumes: [{ name: 'v', emptyDir: {} }],
    containers: [
      {
        name: 'c',
        image: 'registry.localhost/none:1',
        volumeMounts: [{ name: 'v', mountPath: '/../../x', subPath: '../../..' }],
      },
    ],
  }),
  'an item of dots': pod({
    volumes: [{ name: 'v', configMap: { name: 'victim', items: [{ key: 'a', path: '../../x' }] } }],
  }),
  'a volume of the host': pod({ volumes: [{ name: 'v', hostPath: { path: '/' } }] }),
  'a stop signal of its own': container({ lifecycle: { stopSignal: 'SIGRTMIN+99' } }),
  'hooks of everything': container({
    lifecycle: { preStop: { exec: { command: [] }, sleep: { seconds: -1 } }, postStart: { httpGet: { port: 70_000 } } },
  }),
  'a sidecar without an image': pod({ initContainers: [{ name: 's', restartPolicy: 'Always' }] }),
  'a user below zero': pod({ securityContext: { runAsUser: -5 } }),
  'resources of nonsense': container({ resources: { limits: { cpu: '-1', memory: '1e99Zi', x: {} } } }),
  'an image of nonsense': container({ image: 'UPPER/../..:@sha256:zz' }),
  'an image of 100 kB': container({ image: 'a/'.repeat(50_000) }),
  'a node that is not': pod({ nodeName: 'nowhere', schedulerName: '\u0000' }),
  'a grace below zero': pod({ terminationGracePeriodSeconds: -100 }),
  'a thousand containers': pod({
    containers: Array.from({ length: 1_000 }, (_, i) => ({ name: `c${i}`, image: 'registry.localhost/none:1' })),
  }),
  'a thousand sidecars': pod({
    initContainers: Array.from({ length: 1000 }, (_, i) => ({
      name: `s${i}`,
      image: 'registry.localhost/none:1',
      restartPolicy: 'Always',
    })),
  }),
  'five thousand ports': container({ ports: Array.from({ length: 5000 }, (_, i) => ({ containerPort: i + 1 })) }),
  'annotations that leave no room for ports': post(`${core}/pods`, {
    metadata: { generateName: 'h-', annotations: { a: 'x'.repeat(262_140) } },
    spec: { containers: [{ name: 'c', image: 'registry.localhost/none:1', ports: [{ containerPort: 80 }] }] },
  }),
  'times beyond all bounds': pod({
    activeDeadlineSeconds: 2 ** 31 - 1,
    terminationGracePeriodSeconds: 2 ** 31 - 1,
    containers: [
      {
        name: 'c',
        image: 'registry.localhost/none:1',
        readinessProbe: { periodSeconds: 2 ** 31 - 1, timeoutSeconds: 2 ** 31 - 1, tcpSocket: { port: 65_535 } },
      },
    ],
  }),
  'a pod of the longest name': pod({}, { generateName: 'p'.repeat(247) }),
  // Deployments
  'replicas beyond all bounds': post(`${apps}/deployments`, {
    metadata: { generateName: 'h-' },
    spec: { replicas: 2 ** 40, selector: {}, template: {} },
  }),
  'a selector that matches nothing of its own': post(`${apps}/deployments`, {
    metadata: { generateName: 'h-' },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'c' } }, spec: { containers: [{ name: 'c', image: 'x' }] } },
    },
  }),
  'a surge of 10,000 %': post(`${apps}/deployments`, {
    metadata: { generateName: 'h-' },
    spec: {
      replicas: 0,
      strategy: { rollingUpdate: { maxSurge: '10000%', maxUnavailable: '-1%' } },
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'x' }] } },
    },
  }),
  // Serving
  'a scale of words': annotated({ 'autoscaling.knative.dev/min-scale': 'abc' }),
  'a scale beyond all bounds': annotated({ 'autoscaling.knative.dev/min-scale': '99999999999' }),
  'a target of NaN': annotated({ 'autoscaling.knative.dev/target': 'NaN' }),
  'a window of nothing': annotated({ 'autoscaling.knative.dev/window': '-1h' }),
  'a class that nobody knows': annotated({ 'autoscaling.knative.dev/class': 'hpa.autoscaling.knative.dev' }),
  'a metric that nobody knows': annotated({ 'autoscaling.knative.dev/metric': '__proto__' }),
  'a deadline of nonsense': annotated({ 'serving.knative.dev/progress-deadline': '1000000h' }),
  'scales beyond all bounds': annotated({
    'autoscaling.knative.dev/min-scale': '2147483647',
    'autoscaling.knative.dev/initial-scale': '2147483647',
    'autoscaling.knative.dev/activation-scale': '2147483647',
  }),
  'a target beyond all bounds': annotated({ 'autoscaling.knative.dev/target': '1e308' }),
  'a timeout beyond all bounds': service({
    template: { spec: { timeoutSeconds: 2 ** 40, containers: [{ image: 'registry.localhost/none:1' }] } },
  }),
  'a concurrency below zero': service({
    template: { spec: { containerConcurrency: -1, containers: [{ image: 'registry.localhost/none:1' }] } },
  }),
  'a service account of nonsense': service({
    template: { spec: { serviceAccountName: 'foo@bar.baz', containers: [{ image: 'registry.localhost/none:1' }] } },
  }),
  'traffic of 300 percent': service({ traffic: [{ latestRevision: true, percent: 300 }] }),
  'traffic to nobody': service({ traffic: [{ revisionName: 'nobody', percent: 100 }] }),
  'a thousand targets': service({
    traffic: Array.from({ length: 1_000 }, (_, i) => ({
      latestRevision: true,
      percent: i === 0 ? 100 : 0,
      tag: `t${i}`,
    })),
  }),
  'a tag of dots': service({ traffic: [{ latestRevision: true, percent: 100, tag: '..' }] }),
  'a template of a name that is taken': service({
    template: { metadata: { name: 'h-00001' }, spec: { containers: [{ image: 'registry.localhost/none:1' }] } },
  }),
  'a name too long for a host': service({}, { generateName: undefined, name: 'a'.repeat(64) }),
  'a build and an image': service({ build: { source: { files: { 'index.js': '1' } } } }),
  // Builds
  'a build of nothing': post(`${builds}/builds`, { metadata: { generateName: 'h-' }, spec: {} }),
  'a build of files of dots': post(`${builds}/builds`, {
    metadata: { generateName: 'h-' },
    spec: { source: { files: { '../../x': 'a', '/etc/passwd': 'b', '': 'c', 'a/../b': 'd', '.git/config': 'e' } } },
  }),
  'a build from a program': post(`${builds}/builds`, {
    metadata: { generateName: 'h-' },
    spec: { source: { git: { url: 'ext::sh -c touch%20/tmp/hostile', revision: '--upload-pack=touch' } } },
  }),
  'a build from the disk': post(`${builds}/builds`, {
    metadata: { generateName: 'h-' },
    spec: { source: { git: { url: 'file:///etc', revision: 'main' } } },
  }),
  'a build with a password': post(`${builds}/builds`, {
    metadata: { generateName: 'h-' },
    spec: { source: { git: { url: 'http://user:geheim@127.0.0.1:9/x.git', revision: 'main' } } },
  }),
  // Eventing
  'a trigger of a broker that is not': trigger({ broker: '../..' }),
  'a trigger without a subscriber': trigger({ subscriber: {} }),
  'a subscriber of nonsense': trigger({ subscriber: { uri: 'http://[::1' } }),
  'a subscriber of another protocol': trigger({ subscriber: { uri: 'file:///etc/passwd' } }),
  'a subscriber of any kind': trigger({ subscriber: { ref: { apiVersion: 'a/b', kind: '__proto__', name: 'x' } } }),
  'filters of nonsense': trigger({ filters: [{ not: { any: [] } }, { cesql: 'EXPLODE(' }, {}] }),
  'filters nested 1,000 deep': trigger({
    filters: [JSON.parse(`${'{"not":'.repeat(1_000)}{"exact":{"type":"a"}}${'}'.repeat(1_000)}`)],
  }),
  'ten thousand filters': trigger({ filters: Array(10_000).fill({ exact: { type: 'a' } }) }),
  'a filter of prototypes': post(
    `${eventing}/triggers`,
    '{"metadata":{"generateName":"h-"},"spec":{"broker":"hostile","filter":{"attributes":{"__proto__":"a"}},' +
      '"subscriber":{"uri":"http://127.0.0.1:9/"}}}',
  ),
  'a delivery of nonsense': trigger({
    delivery: { retry: -1, backoffDelay: 'P1000Y', timeout: 'x', backoffPolicy: 'y' },
  }),
  'a delivery beyond all bounds': trigger({ delivery: { retry: 2 ** 31, backoffDelay: 'PT99999999999S' } }),
  'a schedule that never comes': post('/apis/sources.knative.dev/v1/namespaces/default/pingsources', {
    metadata: { generateName: 'h-' },
    spec: { schedule: '0 0 31 2 *', data: 'x', sink: { uri: 'http://127.0.0.1:9/' } },
  }),
  'a schedule of nonsense': post('/apis/sources.knative.dev/v1/namespaces/default/pingsources', {
    metadata: { generateName: 'h-' },
    spec: { schedule: '* * * * * * * * *', timezone: 'Mars/Olympus', sink: {} },
  }),
  'a binding of everything': post('/apis/sources.knative.dev/v1/namespaces/default/sinkbindings', {
    metadata: { generateName: 'h-' },
    spec: { subject: { apiVersion: 'v1', kind: 'Pod', selector: {} }, sink: { uri: 'http://127.0.0.1:9/' } },
  }),
  'overrides of prototypes': post(
    '/apis/sources.knative.dev/v1/namespaces/default/pingsources',
    '{"metadata":{"generateName":"h-"},"spec":{"schedule":"0 0 1 1 *","sink":{"uri":"http://127.0.0.1:9/"},' +
      '"ceOverrides":{"extensions":{"__proto__":"x","Bad Name":"\\r\\n"}}}}',
  ),
  'an ingress of nonsense': post('/apis/networking.internal.knative.dev/v1alpha1/namespaces/default/ingresses', {
    metadata: { generateName: 'h-' },
    spec: {
      rules: [
        {
          hosts: ['*', '', '__proto__', '..'],
          http: { paths: [{ path: '(', splits: [{ percent: -5, serviceName: '', servicePort: 'x' }] }, {}] },
        },
      ],
    },
  }),
  'endpoints of nonsense': post('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    metadata: { generateName: 'h-', labels: { 'kubernetes.io/service-name': 'h' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['999.1.1.1', 'localhost', ''], conditions: {} }, { addresses: [] }],
    ports: [{ port: 99_999 }, { port: -1, name: '\u0000' }, {}],
  }),
};

function schemaOf(depth: number): string {
  const open = '{"type":"object","properties":{"a":';
  return `${open.repeat(depth)}{"type":"string"}${'}}'.repeat(depth)}`;
}
