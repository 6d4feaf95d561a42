/** Reads of objects that are stored nowhere: their strategy works them out. */
import { notFound } from '../../api/status.ts';
import { StoredObject } from '../store/stored-object.ts';
import type { Machinery } from './machinery.ts';
import { compileSelectors } from './read.ts';
import type { NamedRequest } from './request-info.ts';
import type { ListRequest, ListResultPage } from './resources.ts';
import type { Strategy } from './strategy.ts';

type Compute = NonNullable<Strategy['compute']>;

export async function getComputed(
  machinery: Machinery,
  request: NamedRequest,
  compute: Compute,
): Promise<StoredObject> {
  const { name, resource } = request;
  const found = (await compute(machinery, request)).find(({ metadata }) => metadata.name === name);
  if (!found) throw notFound(resource.kind, name);
  return new StoredObject(found, 0);
}

/** All that the selectors choose, in one page: there is no moment to which another could belong. */
export async function listComputed(
  machinery: Machinery,
  request: ListRequest,
  compute: Compute,
): Promise<ListResultPage> {
  const { matches } = compileSelectors(request, request.resource);
  const all = (await compute(machinery, request)).map((object) => new StoredObject(object, 0));
  return { items: matches ? all.filter(matches) : all, resourceVersion: '' };
}
