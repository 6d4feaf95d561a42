import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '../../../api/meta.ts';
import { ApiError } from '../../../api/status.ts';
import { asking, openApi } from '../testing/open-api.ts';

test('who asks who they are is told, and nothing is stored', async (t) => {
  const { api } = await openApi(t);
  const kind = api.pipeline.resources.find('authentication.k8s.io', 'v1', 'selfsubjectreviews')?.kind;
  assert.ok(kind);
  const before = api.pipeline.resourceVersion;
  const { stored } = await api.pipeline.create(asking(api, kind, 'create'), { spec: {} }, {});
  const { status, ...review } = stored.object as KubeObject & { status?: unknown };
  assert.deepEqual(review, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
    metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: {},
  });
  assert.deepEqual(status, { userInfo: { username: 'test', groups: ['system:masters', 'system:authenticated'] } });
  assert.equal(api.pipeline.resourceVersion, before);
  const refused = (error: unknown) => error instanceof ApiError && error.code === 405;
  await assert.rejects(api.pipeline.list(asking(api, kind, 'list')), refused);
  await assert.rejects(api.pipeline.get({ ...asking(api, kind, 'get'), name: 'x' }), refused);
  assert.throws(() => {
    api.pipeline.watch({ ...asking(api, kind, 'watch'), signal: new AbortController().signal });
  }, refused);
});
