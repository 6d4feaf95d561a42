import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { type Configuration, noConfiguration } from '../api/kind.ts';
import { keyOf, keyText } from '../api/meta.ts';
import type { Client } from './client.ts';
import { Informer, type InformerOptions } from './informer.ts';

export interface FollowedConfiguration {
  /** As it is now. */
  current(): Configuration;
  stop(): Promise<void>;
}

/** Follows the ConfigMaps of `namespaces`; resolves when those that are there are known, or could not be asked for. */
export async function followConfiguration(
  client: Pick<Client, 'watch'>,
  namespaces: readonly string[],
  options: Pick<InformerOptions, 'clock' | 'log'>,
): Promise<FollowedConfiguration> {
  let current = noConfiguration;
  const informers = [...new Set(namespaces)].map((namespace) => {
    const informer = new Informer<ConfigMap>(client, ConfigMapKind, { ...options, namespace });
    informer.onChange((type, map) => {
      const { [keyText(keyOf(map))]: _before, ...others } = current;
      current = type === 'DELETED' ? others : { ...others, [keyText(keyOf(map))]: map.data ?? {} };
    });
    informer.start();
    return informer;
  });
  await Promise.all(informers.map((informer) => informer.settled));
  return {
    current: () => current,
    async stop() {
      await Promise.all(informers.map((informer) => informer.stop()));
    },
  };
}
