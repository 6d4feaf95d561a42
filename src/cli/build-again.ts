import { BuildKind } from '../api/build/build.ts';
import { conditionOf, type Key } from '../api/meta.ts';
import { ConfigurationKind } from '../api/serving/configuration.ts';
import { labels } from '../api/serving/names.ts';
import type { Client } from '../kube/client.ts';
import { watchOn } from './watch-on.ts';

/**
 * Has a service's failed build made again: it may have failed for what is not in the source (the network was away). Its
 * Build is deleted, and the Configuration makes a new one. Resolves once the Configuration speaks of that, with true;
 * with false when no build has failed.
 */
export async function buildAgain(client: Client, { namespace = 'default', name }: Key, until: AbortSignal) {
  const ended = new AbortController();
  const signal = AbortSignal.any([until, ended.signal]);
  const fieldSelector = `metadata.name=${name}`;
  let isDeleted = false;
  try {
    for await (const event of watchOn(client, ConfigurationKind, { namespace, fieldSelector, signal })) {
      if (event.type === 'BOOKMARK') {
        if (!isDeleted) return false;
      } else if (event.type === 'DELETED' || conditionOf(event.object, 'BuildSucceeded')?.status !== 'False') {
        return isDeleted;
      } else if (!isDeleted) {
        const { generation } = event.object.metadata;
        const labelSelector = `${labels.configuration}=${name},${labels.configurationGeneration}=${generation}`;
        const failed = (await client.list(BuildKind, { namespace, labelSelector })).items;
        if (failed.length === 0) return false;
        for (const { metadata } of failed) await client.delete(BuildKind, { namespace, name: metadata.name });
        isDeleted = true;
      }
    }
    return isDeleted;
  } finally {
    ended.abort();
  }
}
