import { defineErrors } from '../../lib/errors.ts';

export const nodeErrors = defineErrors({
  STREAM_UNSUPPORTED: {
    status: 501,
    fault: 'user',
    message: (p: { driver: string; what: string }) => `the ${p.driver} driver of this node cannot ${p.what}`,
  },
  RUNTIME_UNKNOWN: {
    status: 404,
    fault: 'user',
    message: (p: { name: string }) =>
      `there is no way to run pods called "${p.name}" on this node: runtimeClassName is process, container or left out`,
  },
  RUNTIME_UNAVAILABLE: {
    status: 501,
    fault: 'user',
    message: (p: { handler: string; what: string; remedy: string }) =>
      `the pod asks for runtimeClassName ${p.handler}, and this node has none: ${p.what}: ${p.remedy}`,
  },
  POD_PORT_UNKNOWN: {
    status: 404,
    fault: 'user',
    message: (p: { pod: string; port: number }) =>
      `no container of the pod ${p.pod} has the port ${p.port}: name it in one's ports`,
  },
});
