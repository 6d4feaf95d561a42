import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { definitionOfKind } from '../api/apiextensions/definition-of-kind.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { ServiceKind } from '../api/serving/service.ts';
import { ApiError, alreadyExists, conflict, notFound } from '../api/status.ts';
import { applyObject } from './apply.ts';
import type { Client } from './client.ts';
import { despiteRaces } from './despite-races.ts';
import { install } from './install.ts';

const raced = [
  alreadyExists(ConfigMapKind, 'a'),
  conflict(ConfigMapKind, 'a', 'it has changed'),
  notFound(ConfigMapKind, 'a'),
];

describe('what looks before it writes', () => {
  test('is done anew when another writer was quicker', async () => {
    const errors = [...raced];
    const work = async () => {
      const error = errors.shift();
      if (error) throw error;
      return 'done';
    };
    assert.equal(await despiteRaces(work), 'done');
  });

  test('fails when others are always quicker, and at once when it was no race', async () => {
    for (const [error, times] of [
      ...raced.map((error) => [error, 5] as const),
      [new ApiError(403, 'No', 'no'), 1] as const,
    ]) {
      let count = 0;
      const work = async () => {
        count++;
        throw error;
      };
      await assert.rejects(despiteRaces(work), error);
      assert.equal(count, times);
    }
  });

  /** A server where others always are a moment quicker. */
  const quickOthers = (seen: object | undefined) => {
    let calls = 0;
    const lost = async () => {
      assert.ok(++calls < 20, 'it does not end');
      throw seen ? conflict(ConfigMapKind, 'a', 'it has changed') : alreadyExists(ConfigMapKind, 'a');
    };
    return { get: async () => seen, create: lost, update: lost, patch: lost } as unknown as Client;
  };

  test('is not applied or installed for ever', async () => {
    const configMap: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'b' } };
    await assert.rejects(applyObject(quickOthers(undefined), ConfigMapKind, configMap), { code: 409 });
    await assert.rejects(install(quickOthers(undefined), [ServiceKind], []), { code: 409 });
    await assert.rejects(install(quickOthers({ ...definitionOfKind(ServiceKind), spec: {} }), [ServiceKind], []), {
      code: 409,
    });
  });
});
