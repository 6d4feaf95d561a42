import { isIP } from 'node:net';
import type { CoreService } from '../../api/core/service.ts';
import type { ServicePort } from '../../api/core/service-spec.ts';
import type { EndpointSlice } from '../../api/discovery/endpoint-slice.ts';
import { isDnsSubdomain } from '../../api/names.ts';
import type { EndpointAddress, Problem } from './change.ts';
import { attempt, each, reportOf } from './problems.ts';

/** As Kubernetes calls HTTP/2 without TLS and without asking first (KEP-3726). */
const h2c = 'kubernetes.io/h2c';

/**
 * Where requests to the port of a Service go, `port` being its number or its name: to the ready endpoints of its
 * slices, whose ports are called as the Service's; or to the name that an ExternalName stands for, as other ingress
 * implementations of Knative have it.
 */
export function addressesOf(
  service: CoreService,
  port: string,
  slices: Iterable<EndpointSlice>,
  problems: Problem[],
): EndpointAddress[] {
  const found: EndpointAddress[] = [];
  attempt(reportOf('Service', service, 'spec', problems), -1, () => {
    const { spec } = service;
    const named = spec.ports?.find((one) => String(one.port) === port || one.name === port);
    if (spec.type === 'ExternalName') {
      found.push(externalAddress(spec.externalName, named?.port ?? Number(port)));
      return;
    }
    if (named === undefined) throw new Error(`it has no port ${port}`);
    for (const slice of slices) addSlice(slice, named, found, problems);
  });
  return found;
}

function externalAddress(name: string | undefined, port: number): EndpointAddress {
  if (name === undefined || !isDnsSubdomain(name.replace(/\.$/, '')))
    throw new Error(`externalName is no host: ${JSON.stringify(name)}`);
  return { host: name, port: checkedPort(port) };
}

function addSlice(slice: EndpointSlice, { name }: ServicePort, found: EndpointAddress[], problems: Problem[]): void {
  if (slice.addressType === 'FQDN') return;
  const report = reportOf('EndpointSlice', slice, 'endpoints', problems);
  attempt(reportOf('EndpointSlice', slice, 'ports', problems), -1, () => {
    const of = slice.ports?.find((one) => (one.name ?? '') === (name ?? ''));
    if (of?.port === undefined) return;
    const port = checkedPort(of.port);
    const protocol = of.appProtocol === h2c ? { protocol: 'h2c' } : {};
    each(slice.endpoints, report, ({ conditions, addresses: [host] }) => {
      if (conditions?.ready === false || conditions?.terminating === true || host === undefined) return;
      // A name would be looked up, and any text may be one.
      if (isIP(host) === 0) throw new Error(`${JSON.stringify(host)} is no IP address`);
      found.push({ host, port, ...protocol });
    });
  });
}

function checkedPort(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new Error(`${port} is no port`);
}
