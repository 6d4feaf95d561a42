import { type Kind, noConfiguration } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Client } from './client.ts';

/**
 * The same client, but objects of `kinds` come with their defaults filled in: for a server that knows these kinds by
 * their schemas only, and does not ask us about what is written. What is stored stays as it was written.
 */
export function defaultingClient(client: Client, kinds: readonly Kind[]): Client {
  const filled = <T extends KubeObject>(kind: Kind<T>, object: T): T => {
    const ours = kinds.some(({ group, plural }) => group === kind.group && plural === kind.plural);
    if (ours) kind.setDefaults?.(object, { config: noConfiguration });
    return object;
  };
  return {
    kindOf: (reference) => client.kindOf(reference),
    async get(kind, key) {
      const object = await client.get(kind, key);
      return object && filled(kind, object);
    },
    async list(kind, options) {
      const { items, resourceVersion } = await client.list(kind, options);
      return { items: items.map((object) => filled(kind, object)), resourceVersion };
    },
    async *watch(kind, options) {
      for await (const event of client.watch(kind, options)) {
        yield event.type === 'BOOKMARK' ? event : { ...event, object: filled(kind, event.object) };
      }
    },
    create: async (kind, object) => filled(kind, await client.create(kind, object)),
    createOn: (...given) => client.createOn(...given),
    update: async (kind, object, subresource) => filled(kind, await client.update(kind, object, subresource)),
    patch: async (kind, key, patch, subresource) => filled(kind, await client.patch(kind, key, patch, subresource)),
    scale: (kind, key, replicas) => client.scale(kind, key, replicas),
    delete: (kind, key, options) => client.delete(kind, key, options),
  };
}
