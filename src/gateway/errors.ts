import { defineErrors } from '../lib/errors.ts';

export const gatewayErrors = defineErrors({
  REQUEST_SET_ASIDE: {
    status: 503,
    fault: 'system',
    message: (p: { command: string }) =>
      `requests like this one are set aside, because one ended the gateway twice: ` +
      `give them back with: ${p.command}`,
  },
});
