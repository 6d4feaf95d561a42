import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeploymentKind } from '../../api/apps/deployment.ts';
import { defineKind } from '../../api/kind.ts';
import { objectPath } from './paths.ts';

test('an object has its path, and what a reference says its kind is leads to no other', () => {
  const key = { namespace: 'n', name: 'a' };
  assert.equal(objectPath(DeploymentKind, key, 'scale'), '/apis/apps/v1/namespaces/n/deployments/a/scale');
  const plural = 'x/../secrets?watch=1#';
  const foreign = defineKind({ group: 'g', version: 'v/1', kind: 'X', plural, schema: {} });
  assert.equal(objectPath(foreign, key), '/apis/g/v%2F1/namespaces/n/x%2F..%2Fsecrets%3Fwatch%3D1%23/a');
});
