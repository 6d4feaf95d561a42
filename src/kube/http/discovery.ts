import { defineKind, type Kind } from '../../api/kind.ts';
import type { Transport } from './transport.ts';

/** Kubernetes' aggregated discovery: all groups in one document, each with its versions in the order of preference. */
const accept = ['v2', 'v2beta1'].map((v) => `application/json;g=apidiscovery.k8s.io;v=${v};as=APIGroupDiscoveryList`);

interface Discovered {
  items?: {
    metadata?: { name?: string };
    versions?: { version: string; resources?: DiscoveredResource[] }[];
  }[];
}

interface DiscoveredResource {
  resource: string;
  responseKind?: { kind?: string };
  scope: string;
  singularResource?: string;
  shortNames?: string[];
  verbs?: string[];
}

/** Every kind of object that the server has, enough to read, list, watch and delete. */
export async function discover(transport: Transport): Promise<Kind[]> {
  const found = await Promise.all(
    ['/api', '/apis'].map(async (path) => {
      const document = await transport.json({ method: 'GET', path, accept: accept.join(',') });
      try {
        return kindsIn(document as Discovered);
      } catch (cause) {
        throw new Error(`the answer to GET ${path} does not tell the kinds of a server`, { cause });
      }
    }),
  );
  return found.flat();
}

/** Throws when it is no such document: it comes from whatever answers there. */
function kindsIn({ items = [] }: Discovered): Kind[] {
  return items.flatMap(({ metadata, versions = [] }) =>
    versions.flatMap(({ version, resources = [] }) =>
      resources.flatMap((resource) => kindOf(metadata?.name ?? '', version, resource) ?? []),
    ),
  );
}

function kindOf(group: string, version: string, resource: DiscoveredResource): Kind | undefined {
  const { resource: plural, responseKind, scope, singularResource, shortNames = [], verbs } = resource;
  const kind = responseKind?.kind;
  if (!kind || !verbs?.includes('get')) return undefined;
  return defineKind({
    ...{ group, version, kind, plural, shortNames, isNamespaced: scope === 'Namespaced' },
    singular: singularResource || kind.toLowerCase(),
    schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  });
}
