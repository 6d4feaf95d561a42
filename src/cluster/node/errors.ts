import { defineErrors } from '../../lib/errors.ts';

export const nodeErrors = defineErrors({
  STREAM_UNSUPPORTED: {
    status: 501,
    fault: 'user',
    message: (p: { driver: string; what: string }) => `the ${p.driver} driver of this node cannot ${p.what}`,
  },
  POD_PORT_UNKNOWN: {
    status: 404,
    fault: 'user',
    message: (p: { pod: string; port: number }) =>
      `no container of the pod ${p.pod} has the port ${p.port}: name it in one's ports`,
  },
});
