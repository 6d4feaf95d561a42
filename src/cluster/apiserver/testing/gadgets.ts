import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import { definitionOfKind } from '../../../api/apiextensions/definition-of-kind.ts';
import { defineKind, type Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { integer, object } from '../../../api/schema.ts';
import type { Client } from '../../../kube/client.ts';

export type Gadget = KubeObject & { spec?: { size?: number } };

/** A kind that is not the platform's: a user defines it. */
export const GadgetKind = defineKind<Gadget>({
  group: 'shop.example.dev',
  version: 'v1',
  kind: 'Gadget',
  shortNames: ['gd'],
  schema: object({ spec: object({ size: integer({ default: 3 }) }) }),
});

export const gadget = (name: string): Gadget => ({
  apiVersion: 'shop.example.dev/v1',
  kind: 'Gadget',
  metadata: { name, namespace: 'default' },
  spec: {},
});

export const gadgetDefinition = () => definitionOfKind(GadgetKind as unknown as Kind);
export const gadgetDefinitionKey = { name: 'gadgets.shop.example.dev' };

/** The definition, as soon as it is as expected. */
export async function untilDefinition(
  client: Client,
  isExpected: (d: CustomResourceDefinition | undefined) => unknown,
): Promise<CustomResourceDefinition | undefined> {
  const signal = AbortSignal.timeout(5000);
  const fieldSelector = `metadata.name=${gadgetDefinitionKey.name}`;
  let object: CustomResourceDefinition | undefined;
  for await (const event of client.watch(CustomResourceDefinitionKind, { signal, fieldSelector })) {
    if (event.type === 'DELETED') object = undefined;
    else if (event.type !== 'BOOKMARK') object = event.object;
    if (isExpected(object)) return object;
  }
  throw new Error('the definition did not become what was expected');
}

export const definitionCondition = (d: CustomResourceDefinition | undefined, type: string) =>
  d?.status?.conditions?.find((c) => c.type === type);

/** Defines Gadgets, and waits until they are established. */
export async function defineGadgets(client: Client): Promise<void> {
  await client.create(CustomResourceDefinitionKind, gadgetDefinition());
  await untilDefinition(client, (d) => definitionCondition(d, 'Established')?.status === 'True');
}
