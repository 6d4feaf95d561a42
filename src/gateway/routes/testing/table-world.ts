import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import type { ServicePort } from '../../../api/core/service-spec.ts';
import {
  type EndpointConditions,
  type EndpointSlice,
  EndpointSliceKind,
  serviceNameLabel,
} from '../../../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { type KubeObject, keyOf, keyText } from '../../../api/meta.ts';
import { type Ingress, IngressKind, type IngressPath } from '../../../api/networking/ingress.ts';
import { labels } from '../../../api/serving/names.ts';
import { type Revision, RevisionKind } from '../../../api/serving/revision.ts';
import type { PathRoute, Problem, RouteChange, Target } from '../change.ts';
import { limitsOf } from '../revision-limits.ts';
import { RouteTable } from '../table.ts';

export const ingress = (
  name: string,
  hosts: string[],
  paths: IngressPath[],
  more: Partial<Ingress['metadata']> = {},
): Ingress => ({
  apiVersion: apiVersionOf(IngressKind),
  kind: 'Ingress',
  metadata: { name, namespace: 'ns', creationTimestamp: '2026-01-01T00:00:00Z', ...more },
  spec: { rules: [{ hosts, http: { paths } }] },
});

/** A split to port 80 of a Service. */
export const to = (serviceName: string, percent?: number) => ({
  serviceNamespace: 'ns',
  serviceName,
  servicePort: 80,
  ...(percent === undefined ? {} : { percent }),
});

/** A Service of nobody in particular, or of a revision. */
export function service(name: string, revisionName?: string, ports: ServicePort[] = [{ name: 'http', port: 80 }]) {
  const own = revisionName === undefined ? {} : { labels: { [labels.revision]: revisionName } };
  const made: CoreService = {
    apiVersion: apiVersionOf(CoreServiceKind),
    kind: CoreServiceKind.kind,
    metadata: { name, namespace: 'ns', ...own },
    spec: { ports },
  };
  return made;
}

export const slice = (
  serviceName: string,
  addresses: [address: string, conditions?: EndpointConditions][],
  port = 8080,
): EndpointSlice => ({
  apiVersion: apiVersionOf(EndpointSliceKind),
  kind: 'EndpointSlice',
  metadata: { name: `${serviceName}-x`, namespace: 'ns', labels: { [serviceNameLabel]: serviceName } },
  addressType: 'IPv4',
  ports: [
    { name: 'metrics', port: 9 },
    { name: 'http', port },
  ],
  endpoints: addresses.map(([address, conditions]) => ({ addresses: [address], conditions: conditions ?? {} })),
});

export const revision = (name: string, spec: Partial<Revision['spec']>): Revision => ({
  apiVersion: apiVersionOf(RevisionKind),
  kind: 'Revision',
  metadata: { name, namespace: 'ns' },
  spec: { containers: [], ...spec },
});

/** Objects that change, and what a table tells of it. */
export class TableWorld {
  readonly hosts = new Map<string, readonly PathRoute[]>();
  readonly targets = new Map<string, Target>();
  readonly problems: Problem[] = [];
  problemCount = 0;
  /** How many objects the table has read for the last change. */
  looks = 0;
  /** How many changes the table is to take at once. */
  pieceSize = 1_000;
  /** What reading a Service's limits throws. */
  fault: Error | undefined;
  readonly #objects = new Map<string, KubeObject>();
  #slices: EndpointSlice[] = [];
  readonly #table = new RouteTable(
    {
      ingress: (key) => this.#look<Ingress>(`Ingress ${key}`),
      service: (key) => this.#look<CoreService>(`Service ${key}`),
      slices: (key) => this.#slices.filter((one) => serviceOf(one) === key),
      limits: (of, problems) => {
        if (this.fault !== undefined) throw this.fault;
        return limitsOf(of, (key) => this.#look<Revision>(`Revision ${keyText(key)}`), problems);
      },
    },
    (problem) => this.problems.push(problem),
  );

  constructor(...objects: KubeObject[]) {
    this.put(...objects);
  }

  /** Adds or replaces objects. */
  put(...objects: KubeObject[]): RouteChange[] {
    for (const object of objects) {
      this.#objects.set(`${object.kind} ${keyText(keyOf(object))}`, object);
      this.#changed(object);
    }
    return this.#take();
  }

  remove(object: KubeObject): RouteChange[] {
    this.#objects.delete(`${object.kind} ${keyText(keyOf(object))}`);
    this.#changed(object);
    return this.#take();
  }

  /** Replaces all slices. */
  putSlices(...slices: EndpointSlice[]): RouteChange[] {
    for (const one of [...this.#slices, ...slices]) this.#table.serviceChanged(serviceOf(one));
    this.#slices = slices;
    return this.#take();
  }

  #look<T extends KubeObject>(key: string): T | undefined {
    this.looks++;
    return this.#objects.get(key) as T | undefined;
  }

  #changed(object: KubeObject): void {
    const key = keyText(keyOf(object));
    if (object.kind === 'Ingress') this.#table.ingressChanged(key);
    else this.#table.serviceChanged(key);
  }

  #take(): RouteChange[] {
    this.looks = 0;
    const changes: RouteChange[] = [];
    while (!this.#table.isSettled) changes.push(this.#table.take(this.pieceSize));
    for (const { hosts, targets, problems = 0 } of changes) {
      apply(this.hosts, hosts);
      apply(this.targets, targets);
      this.problemCount = problems;
    }
    return changes;
  }
}

const serviceOf = ({ metadata }: EndpointSlice): string => `ns/${metadata.labels?.[serviceNameLabel]}`;

function apply<T>(known: Map<string, T>, changes: ReadonlyMap<string, T | undefined>): void {
  for (const [key, value] of changes) {
    if (value === undefined) known.delete(key);
    else known.set(key, value);
  }
}
