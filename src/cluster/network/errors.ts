import { defineErrors } from '../../lib/errors.ts';

export const networkErrors = defineErrors({
  NETWORK_UNSUPPORTED: {
    status: 501,
    fault: 'system',
    message: (p: { missing: string; remedy: string }) =>
      `pods get no network of their own on this machine: ${p.missing}: ${p.remedy}`,
  },
  NETWORK_COMMAND_FAILED: {
    status: 500,
    fault: 'system',
    message: (p: { command: string; said: string }) => `${p.command} failed: ${p.said}`,
  },
  ADDRESS_RANGE_INVALID: {
    status: 400,
    fault: 'user',
    message: (p: { field: string; value: string; rule: string }) =>
      `${p.field} is ${JSON.stringify(p.value)}: ${p.rule}`,
  },
  ADDRESS_RANGE_TAKEN: {
    status: 409,
    fault: 'system',
    message: (p: { field: string; range: string; by: string }) =>
      `${p.field} ${p.range} is taken by ${p.by}: stop that, or choose another range`,
  },
  // As CNI's host-local says it: people look for these words.
  POD_ADDRESSES_EXHAUSTED: {
    status: 503,
    fault: 'system',
    message: (p: { first: string; last: string; pods: number }) =>
      `no IP addresses available in range set: ${p.first}-${p.last}: ${p.pods} pods have one each; ` +
      'it is tried again when one is gone',
  },
  HOST_PORT_TAKEN: {
    status: 409,
    fault: 'user',
    message: (p: { port: string; by: string }) =>
      `the host port ${p.port} is taken by the pod ${p.by}: choose another, or wait until that is gone`,
  },
});
