import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseResourcePath } from './paths.ts';

const core = { group: '', version: 'v1', isWatchPath: false };
const apps = { group: 'apps', version: 'v1', isWatchPath: false };
const cases: [string, object | undefined][] = [
  ['/api/v1/nodes', { ...core, plural: 'nodes' }],
  ['/api/v1/nodes/a', { ...core, plural: 'nodes', name: 'a' }],
  ['/api/v1/namespaces', { ...core, plural: 'namespaces' }],
  ['/api/v1/namespaces/a', { ...core, plural: 'namespaces', name: 'a' }],
  ['/api/v1/namespaces/a/status', { ...core, plural: 'namespaces', name: 'a', subresource: 'status' }],
  ['/api/v1/namespaces/a/finalize', { ...core, plural: 'namespaces', name: 'a', subresource: 'finalize' }],
  ['/api/v1/namespaces/a/pods', { ...core, plural: 'pods', namespace: 'a' }],
  ['/api/v1/namespaces/a/pods/', { ...core, plural: 'pods', namespace: 'a' }],
  ['/api/v1/namespaces/a/pods/b/log', { ...core, plural: 'pods', namespace: 'a', name: 'b', subresource: 'log' }],
  [
    '/api/v1/namespaces/a/services/b/proxy/x/y',
    { ...core, plural: 'services', namespace: 'a', name: 'b', subresource: 'proxy/x/y' },
  ],
  ['/apis/apps/v1/deployments', { ...apps, plural: 'deployments' }],
  ['/apis/apps/v1/namespaces/a/deployments/b%2Fc', { ...apps, plural: 'deployments', namespace: 'a', name: 'b/c' }],
  ['/apis/apps/v1/watch/deployments', { ...apps, plural: 'deployments', isWatchPath: true }],
  [
    '/apis/apps/v1/watch/namespaces/a/deployments/b',
    { ...apps, plural: 'deployments', namespace: 'a', name: 'b', isWatchPath: true },
  ],
  ['/apis/apps/v1', undefined],
  ['/apis', undefined],
  ['/healthz', undefined],
  ['/api/v1/pods/%ff', undefined],
];
for (const [path, expected] of cases) {
  test(`${path} ${expected ? 'names a resource' : 'names none'}`, () => {
    assert.deepEqual(parseResourcePath(path), expected);
  });
}
