import { RevisionKind } from '../api/serving/revision.ts';
import { ServiceKind } from '../api/serving/service.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { print, printTable } from './terminal.ts';
import { printAddresses } from './up.ts';

/** `kittiwake status`: where things listen, and each service with its URL, readiness and pods. */
export async function status(common: CommonOptions): Promise<void> {
  const { addresses, client } = runningPlatform(common);
  printAddresses(addresses);
  const [services, revisions] = await Promise.all([client.list(ServiceKind), client.list(RevisionKind)]);
  if (services.items.length === 0) return print("no services yet: try 'kittiwake deploy FOLDER'");
  const rows = services.items.map((service) => {
    const { namespace, name } = service.metadata;
    const ready = service.status?.conditions?.find((condition) => condition.type === 'Ready');
    const pods = revisions.items
      .filter((r) => r.metadata.namespace === namespace && r.metadata.labels?.['serving.knative.dev/service'] === name)
      .reduce((sum, revision) => sum + (revision.status?.actualReplicas ?? 0), 0);
    const why = ready?.status === 'True' ? '' : firstLine(ready?.message ?? ready?.reason ?? '');
    return [namespace ?? '', name, ready?.status ?? 'Unknown', String(pods), service.status?.url ?? '', why];
  });
  printTable([['NAMESPACE', 'SERVICE', 'READY', 'PODS', 'URL', ''], ...rows]);
}

/** A table has one line a row: the whole message is in `kittiwake get ksvc NAME -o yaml`. */
function firstLine(text: string): string {
  const [line = '', ...more] = text.split('\n');
  return more.length > 0 ? `${line} …` : line;
}
