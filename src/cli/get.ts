import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import { notFound } from '../api/status.ts';
import { collectionPath, objectPath } from '../kube/http/index.ts';
import { toYaml } from '../lib/yaml.ts';
import { resolveKind, splitKindAndName } from './kinds.ts';
import { type CommonOptions, type RunningPlatform, runningPlatform } from './platform.ts';
import { print, printTable, say } from './terminal.ts';

export interface GetOptions {
  namespace: string;
  allNamespaces?: boolean;
  output?: 'yaml' | 'json' | 'name' | 'wide';
}

/** The server's own rendering of a list (Kubernetes API, "Receiving resources as Tables"). */
interface Table {
  columnDefinitions: { name: string; priority: number }[];
  rows: { cells: unknown[]; object?: { metadata?: { namespace?: string } } }[];
}

/** `kittiwake get KIND[,KIND…] [NAME]`: the tables that the server makes, or the objects themselves. */
export async function get(
  common: CommonOptions,
  kindNames: string,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const platform = runningPlatform(common);
  const wanted = splitKindAndName(kindNames, name);
  if (wanted.name !== undefined && options.allNamespaces === true)
    throw new Error('one object has one namespace: give -n instead of --all-namespaces');
  const names = wanted.kind.split(',');
  const kinds = await Promise.all(names.map((kindName) => resolveKind(platform.transport, kindName)));
  for (const [i, kind] of kinds.entries()) {
    const isTable = options.output === undefined || options.output === 'wide';
    if (i > 0 && options.output !== 'name') print(isTable ? '' : '---');
    await getKind(platform, kind, wanted.name, options);
  }
}

async function getKind(
  { client, transport }: RunningPlatform,
  kind: Kind,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const namespace = kind.isNamespaced && options.allNamespaces !== true ? options.namespace : undefined;
  if (options.output === undefined || options.output === 'wide') {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
    const path =
      name === undefined
        ? collectionPath(kind, namespace)
        : objectPath(kind, { ...(namespace && { namespace }), name });
    const table = (await transport.json({ method: 'GET', path, accept })) as Partial<Table>;
    if (!Array.isArray(table?.columnDefinitions) || !Array.isArray(table.rows ?? []))
      throw new Error(`the API server has no table of ${kind.plural}: try '-o yaml'`);
    return printRows({ columnDefinitions: table.columnDefinitions, rows: table.rows ?? [] }, kind, options);
  }
  const objects = await objectsOf();
  const { output } = options;
  if (output === 'name') for (const object of objects) print(`${qualified(kind)}/${object.metadata.name}`);
  else if (output === 'yaml') print(objects.map(toYaml).join('---\n').trimEnd());
  else
    print(
      JSON.stringify(
        name === undefined ? { apiVersion: 'v1', kind: 'List', items: objects } : objects[0],
        undefined,
        2,
      ),
    );

  async function objectsOf(): Promise<KubeObject[]> {
    const scope = namespace === undefined ? {} : { namespace };
    if (name === undefined) return (await client.list(kind, scope)).items;
    const object = await client.get(kind, { ...scope, name });
    if (!object) throw notFound(kind, name);
    return [object];
  }
}

function printRows(table: Table, kind: Kind, options: GetOptions): void {
  const columns = table.columnDefinitions.flatMap(({ priority }, i) =>
    priority === 0 || options.output === 'wide' ? [i] : [],
  );
  const head = columns.map((i) => table.columnDefinitions[i]?.name.toUpperCase() ?? '');
  const rows = table.rows.map(({ cells }) => columns.map((i) => String(cells[i] ?? '')));
  const namespaces = table.rows.map((row) => row.object?.metadata?.namespace ?? '');
  const isOne = kind.isNamespaced && options.allNamespaces !== true;
  if (rows.length === 0) say(`no ${kind.plural}${isOne ? ` in namespace ${options.namespace}` : ''}`);
  else if (!kind.isNamespaced || isOne) printTable([head, ...rows]);
  else printTable([['NAMESPACE', ...head], ...rows.map((row, i) => [namespaces[i] ?? '', ...row])]);
}

const qualified = (kind: Kind) => (kind.group === '' ? kind.singular : `${kind.singular}.${kind.group}`);
