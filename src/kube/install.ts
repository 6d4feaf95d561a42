import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../api/apiextensions/custom-resource-definition.ts';
import { definitionOfKind } from '../api/apiextensions/definition-of-kind.ts';
import { type Namespace, NamespaceKind } from '../api/core/namespace.ts';
import type { Kind } from '../api/kind.ts';
import { isAlreadyExists } from '../api/status.ts';
import { sameJson } from '../lib/same-json.ts';
import type { Client } from './client.ts';
import { despiteRaces } from './despite-races.ts';

/**
 * Makes the namespaces that are missing, and the definitions of `kinds` as they should be; writes nothing when all is
 * there. A server may take a moment to serve what was defined.
 */
export async function install(client: Client, kinds: readonly Kind[], namespaces: readonly string[]): Promise<void> {
  await Promise.all([
    ...namespaces.map((name) => installNamespace(client, name)),
    ...kinds.map((kind) => installDefinition(client, definitionOfKind(kind))),
  ]);
}

async function installNamespace(client: Client, name: string): Promise<void> {
  if (await client.get(NamespaceKind, { name })) return;
  const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  try {
    await client.create(NamespaceKind, namespace);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error; // Somebody else was quicker.
  }
}

function installDefinition(client: Client, wanted: CustomResourceDefinition): Promise<void> {
  return despiteRaces(async () => {
    const current = await client.get(CustomResourceDefinitionKind, { name: wanted.metadata.name });
    if (!current) await client.create(CustomResourceDefinitionKind, wanted);
    else if (!sameJson(current.spec, wanted.spec)) {
      await client.update(CustomResourceDefinitionKind, { ...current, spec: wanted.spec });
    }
  });
}
