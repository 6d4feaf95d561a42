import { defaultRequestLimits, type EndpointAddress, type RouteChange, type Target } from '../routes/change.ts';

export type { Target } from '../routes/change.ts';

export const host = 'hello.default.localhost';
export const targetKey = 'default/hello-00001:80';

/** A revision without a limit of its own and without endpoints. */
export const targetOf = (name: string, namespace = 'default'): Target => ({
  ...defaultRequestLimits,
  namespace,
  name,
  revision: name,
  endpoints: [],
});

/** One host and one revision behind it, which has the endpoints at `ports`. */
export function routesOf(ports: readonly number[], target: Partial<Target> = {}): RouteChange {
  const endpoints: EndpointAddress[] = ports.map((port) => ({ host: '127.0.0.1', port }));
  const appendHeaders = { 'Knative-Serving-Revision': 'hello-00001', 'Knative-Serving-Namespace': 'default' };
  const splits = [{ percent: 100, target: targetKey, appendHeaders }];
  return {
    hosts: new Map([[host, [{ prefix: '/', headers: [], splits }]]]),
    targets: new Map([[targetKey, { ...targetOf('hello-00001'), endpoints, ...target }]]),
  };
}
