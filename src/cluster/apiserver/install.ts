/** What the server puts into its own store at start: default namespaces, and definitions of the platform's kinds. */
import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../api/apiextensions/custom-resource-definition.ts';
import { definitionOfKind } from '../../api/apiextensions/definition-of-kind.ts';
import { type Namespace, NamespaceKind } from '../../api/core/namespace.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Client } from '../../kube/client.ts';
import { sameJson } from '../../lib/same-json.ts';

const defaultNamespaces = [
  'default',
  'kube-system',
  'kube-public',
  'kube-node-lease',
  'knative-serving',
  'knative-eventing',
];

/** Creates what is missing and renews what an older version installed; writes nothing when all is there. */
export async function install(client: Client, kinds: readonly Kind[]): Promise<void> {
  await Promise.all([
    ...defaultNamespaces.map((name) => installNamespace(client, name)),
    ...kinds.map((kind) => installDefinition(client, definitionOfKind(kind))),
  ]);
}

async function installNamespace(client: Client, name: string): Promise<void> {
  if (await client.get(NamespaceKind, { name })) return;
  const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await client.create<KubeObject>(NamespaceKind as Kind, namespace);
}

async function installDefinition(client: Client, wanted: CustomResourceDefinition): Promise<void> {
  const current = await client.get(CustomResourceDefinitionKind, { name: wanted.metadata.name });
  if (!current) await client.create(CustomResourceDefinitionKind, wanted);
  else if (!sameJson(current.spec, wanted.spec)) {
    await client.update(CustomResourceDefinitionKind, { ...current, spec: wanted.spec });
  }
}
