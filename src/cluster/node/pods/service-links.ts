import { isIPv6 } from 'node:net';
import type { CoreService } from '../../../api/core/service.ts';

/** The Service of the API itself: every pod is told of it. */
const apiService = { namespace: 'default', name: 'kubernetes' };

/** The Services that a pod is told of by variables: those of its namespace if it wants that, and the API's. */
export function linkedServices(
  all: { list(options: { namespace: string }): CoreService[] },
  namespace: string,
  areLinked: boolean,
): CoreService[] {
  const isApi = ({ metadata }: CoreService) => metadata.name === apiService.name;
  const api = all.list({ namespace: apiService.namespace }).filter(isApi);
  const own = areLinked ? all.list({ namespace }).filter((service) => !isApi(service)) : [];
  return [...api, ...own].filter(({ spec }) => spec?.clusterIP && spec.clusterIP !== 'None');
}

/**
 * The variables that tell of Services (kubelet's pkg/kubelet/envvars): `DB_SERVICE_HOST`, `DB_SERVICE_PORT`, one for
 * each named port, and those that Docker's links had.
 */
export function serviceVariables(services: readonly CoreService[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { metadata, spec } of services) {
    const [first, ...others] = spec?.ports ?? [];
    if (!first) continue;
    const name = variableName(metadata.name);
    const host = spec?.clusterIP ?? '';
    variables[`${name}_SERVICE_HOST`] = host;
    variables[`${name}_SERVICE_PORT`] = String(first.port);
    for (const port of [first, ...others]) {
      if (port.name) variables[`${name}_SERVICE_PORT_${variableName(port.name)}`] = String(port.port);
      const protocol = (port.protocol || 'TCP').toLowerCase();
      const url = `${protocol}://${isIPv6(host) ? `[${host}]` : host}:${port.port}`;
      if (port === first) variables[`${name}_PORT`] = url;
      const prefix = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`;
      Object.assign(variables, {
        [prefix]: url,
        [`${prefix}_PROTO`]: protocol,
        [`${prefix}_PORT`]: String(port.port),
        [`${prefix}_ADDR`]: host,
      });
    }
  }
  return variables;
}

const variableName = (text: string) => text.replaceAll('-', '_').toUpperCase();
