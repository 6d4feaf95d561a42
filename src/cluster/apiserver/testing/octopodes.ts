import { CustomResourceDefinitionKind } from '../../../api/apiextensions/custom-resource-definition.ts';
import { definitionOfKind } from '../../../api/apiextensions/definition-of-kind.ts';
import { defineKind, type Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import type { Client } from '../../../kube/client.ts';

export type Octopus = KubeObject & { status?: { address?: { url: string } } };

/** A kind whose plural nobody would guess. */
export const OctopusKind = defineKind<Octopus>({
  group: 'sea.example.dev',
  version: 'v1',
  kind: 'Octopus',
  plural: 'octopodes',
  shortNames: ['octo'],
  schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
});

export const octopus = (name: string): Octopus => ({
  apiVersion: 'sea.example.dev/v1',
  kind: 'Octopus',
  metadata: { name, namespace: 'default' },
});

/** Defines them, and waits until they are established. */
export async function defineOctopodes(client: Client): Promise<void> {
  const definition = definitionOfKind({ ...(OctopusKind as Kind), hasStatus: false });
  await client.create(CustomResourceDefinitionKind, definition);
  const fieldSelector = `metadata.name=${definition.metadata.name}`;
  const signal = AbortSignal.timeout(5000);
  for await (const event of client.watch(CustomResourceDefinitionKind, { signal, fieldSelector })) {
    if (event.type === 'BOOKMARK') continue;
    if (event.object.status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True')) return;
  }
}
