import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import { type Condition, parseKeyText, timestamp } from '../../../api/meta.ts';
import { forbidden } from '../../../api/status.ts';
import { dated } from '../../../kube/conditions.ts';
import { messageOf } from '../../../lib/errors.ts';
import { removeEach } from '../delete.ts';
import type { Machinery } from '../machinery.ts';
import { apiServerUser, type NamedRequest, type Target } from '../request-info.ts';
import type { Pipeline } from '../resources.ts';
import { tableName } from '../served-resource.ts';
import { customResourceCleanup, definitionsTable } from './definition-table.ts';

/** 403 when the definition of the target's kind is being deleted: an object made now could hold it up for ever. */
export function requireLivingDefinition({ store }: Machinery, { resource }: Target, name: string): void {
  if (resource.isBuiltin) return;
  const { group, plural } = resource.kind;
  const definition = store.latest(store.table(definitionsTable), `${plural}.${group}`);
  if (definition?.object.metadata.deletionTimestamp === undefined) return;
  const why = 'create not allowed while custom resource definition is terminating';
  throw forbidden(resource.kind, name, why);
}

/** The table that holds the objects of a definition. */
export const objectsTable = ({ spec }: CustomResourceDefinition): string =>
  tableName({ group: spec.group, plural: spec.names.plural });

/**
 * One round of ending a definition that is being deleted: its condition says so, its objects are deleted, and when none
 * is left it is let go. Called again when the last object goes, and after a failure, which the condition names.
 */
export async function terminate(machinery: Machinery, pipeline: Pipeline, name: string): Promise<void> {
  const { store, registry } = machinery;
  const definition = store.table(definitionsTable).get(name)?.object as CustomResourceDefinition | undefined;
  if (!definition?.metadata.finalizers?.includes(customResourceCleanup)) return;
  await report(machinery, pipeline, definition, 'InstanceDeletionInProgress', 'CustomResource deletion is in progress');
  const table = store.table(objectsTable(definition));
  // What was never accepted has no objects: those of its name are somebody else's.
  const resource = registry.all().find((r) => r.table === table.name && !r.isBuiltin);
  if (resource) {
    try {
      const living = table.rows().filter(([, { object }]) => object.metadata.deletionTimestamp === undefined);
      await removeEach(living, ([key]) =>
        pipeline.delete({ user: apiServerUser, verb: 'delete', resource, ...parseKeyText(key) }, {}),
      );
    } catch (error) {
      const why = `could not issue all deletes: ${messageOf(error)}`;
      await report(machinery, pipeline, definition, 'InstanceDeletionFailed', why);
      throw error;
    }
    if (table.size > 0) return;
  }
  await release(machinery, pipeline, name);
}

/** Takes the finalizer away, whoever else writes to the definition meanwhile; other finalizers stay. */
async function release(machinery: Machinery, pipeline: Pipeline, name: string): Promise<void> {
  const { object } = await pipeline.get(aboutDefinition(machinery, 'get', name));
  const at = (object.metadata.finalizers ?? []).indexOf(customResourceCleanup);
  if (at < 0) return;
  const path = `/metadata/finalizers/${at}`;
  const operations = [
    { op: 'test' as const, path, value: customResourceCleanup },
    { op: 'remove' as const, path },
  ];
  await pipeline.patch(aboutDefinition(machinery, 'patch', name), { type: 'json', operations }, {});
}

/** Only this server writes a definition's conditions, and one definition is worked on once at a time. */
async function report(
  machinery: Machinery,
  pipeline: Pipeline,
  { metadata }: CustomResourceDefinition,
  reason: string,
  message: string,
): Promise<void> {
  const { name } = metadata;
  const current = (await pipeline.get(aboutDefinition(machinery, 'get', name))).object as CustomResourceDefinition;
  const conditions = current.status?.conditions ?? [];
  const old = conditions.find((c) => c.type === 'Terminating');
  if (old?.status === 'True' && old.reason === reason && old.message === message) return;
  const next: Condition = { type: 'Terminating', status: 'True', reason, message };
  const now = timestamp(machinery.clock.now());
  const patch = { status: { conditions: [...conditions.filter((c) => c !== old), dated(next, conditions, now)] } };
  await pipeline.patch(aboutDefinition(machinery, 'patch', name, 'status'), { type: 'merge', patch }, {});
}

/** A request of the server's own about a definition. */
export function aboutDefinition(
  { registry }: Machinery,
  verb: 'get' | 'update' | 'patch',
  name: string,
  subresource?: 'status',
): NamedRequest {
  const { group, version, plural } = CustomResourceDefinitionKind;
  const resource = registry.find(group, version, plural);
  if (!resource) throw new Error('CustomResourceDefinitions are not served');
  return { user: apiServerUser, verb, resource, name, subresource };
}
