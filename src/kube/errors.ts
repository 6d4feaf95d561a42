import { defineErrors } from '../lib/errors.ts';

export const kubeErrors = defineErrors({
  API_UNREACHABLE: {
    status: 503,
    fault: 'system',
    message: (p: { server: string; reason: string }) =>
      `the API server at ${p.server} does not answer (${p.reason}): is it running? 'kittiwake up' starts it`,
  },
});
