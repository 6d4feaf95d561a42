import { defaultTarget, type EndpointAddress, type RevisionTarget, type Snapshot } from '../snapshot.ts';

export type { RevisionTarget } from '../snapshot.ts';

export const host = 'hello.default.localhost';
export const revisionKey = 'default/hello-00001';

/** A snapshot with one host and one revision behind it. */
export function snapshotOf(ports: readonly number[], target: Partial<RevisionTarget> = {}): Snapshot {
  const endpoints: EndpointAddress[] = ports.map((port) => ({ host: '127.0.0.1', port }));
  const appendHeaders = { 'Knative-Serving-Revision': 'hello-00001', 'Knative-Serving-Namespace': 'default' };
  const splits = [{ percent: 100, revision: revisionKey, appendHeaders }];
  return {
    hosts: new Map([[host, [{ prefix: '/', headers: [], splits }]]]),
    revisions: new Map([[revisionKey, { ...defaultTarget('default', 'hello-00001'), endpoints, ...target }]]),
  };
}
