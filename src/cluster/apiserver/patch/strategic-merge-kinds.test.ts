import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeploymentKind } from '../../../api/apps/deployment.ts';
import { PodKind } from '../../../api/core/pod.ts';
import { rootSchema } from '../schema/root-schema.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

test('the patch that kubectl set env sends changes one variable of one container', () => {
  const deployment = {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: 'a',
              env: [
                { name: 'X', value: '1' },
                { name: 'Y', value: '2' },
              ],
            },
            { name: 'b' },
          ],
        },
      },
    },
  };
  const patch = {
    spec: {
      template: {
        spec: {
          containers: [
            { name: 'a', '$setElementOrder/env': [{ name: 'X' }, { name: 'Y' }], env: [{ name: 'X', value: '9' }] },
          ],
        },
      },
    },
  };
  assert.deepEqual(applyStrategicMergePatch(deployment, patch, rootSchema(DeploymentKind)), {
    spec: {
      template: {
        spec: {
          containers: [
            {
              name: 'a',
              env: [
                { name: 'X', value: '9' },
                { name: 'Y', value: '2' },
              ],
            },
            { name: 'b' },
          ],
        },
      },
    },
  });
});

test('the lists that Kubernetes merges are merged: of a pod, its conditions, finalizers and volumes', () => {
  const pod = {
    metadata: { finalizers: ['a/b'] },
    spec: { volumes: [{ name: 'v', emptyDir: {} }] },
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  };
  const patch = {
    metadata: { finalizers: ['c/d'] },
    spec: { volumes: [{ name: 'w' }] },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'X', status: 'True' },
      ],
    },
  };
  assert.deepEqual(applyStrategicMergePatch(pod, patch, rootSchema(PodKind)), {
    metadata: { finalizers: ['a/b', 'c/d'] },
    spec: { volumes: [{ name: 'v', emptyDir: {} }, { name: 'w' }] },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'X', status: 'True' },
      ],
    },
  });
});
