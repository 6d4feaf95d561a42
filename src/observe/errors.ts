import { defineErrors } from '../lib/errors.ts';

export const listenErrors = defineErrors({
  PORT_IN_USE: {
    status: 500,
    fault: 'user',
    message: (p: { port: number; role: string; flag: string }) =>
      `port ${p.port} for the ${p.role} is in use: stop what listens there, or choose another with ${p.flag}`,
  },
});
