import { defineErrors } from '../../lib/errors.ts';

export const storeErrors = defineErrors({
  STORE_IN_USE: {
    status: 500,
    fault: 'user',
    message: (p: { file: string }) =>
      `the store ${p.file} is in use by another process: stop it with 'kittiwake down', or choose another folder`,
  },
  STORE_FAILED: {
    status: 500,
    fault: 'system',
    message: (p: { file: string; why: string }) => `the store ${p.file} could not be read or written: ${p.why}`,
  },
  STORE_TOO_NEW: {
    status: 500,
    fault: 'user',
    message: (p: { file: string; found: number; known: number }) =>
      `the store ${p.file} has format ${p.found}, this version reads up to ${p.known}: ` +
      `upgrade kittiwake, or choose another folder`,
  },
  STORE_BUSY: {
    status: 429,
    fault: 'system',
    message: (p: { waiting: number }) => `${p.waiting} writes wait for the disk: try again in a second`,
  },
  STORE_FULL: {
    status: 507,
    fault: 'user',
    message: (p: { heldBytes: number; limitBytes: number }) =>
      `the cluster's objects take ${p.heldBytes} bytes of memory, their limit is ${p.limitBytes}: ` +
      'nothing can be added until some are deleted',
  },
  OBJECT_TOO_LARGE: {
    status: 413,
    fault: 'user',
    message: (p: { sizeBytes: number; limitBytes: number }) =>
      `the object would take ${p.sizeBytes} bytes, its limit is ${p.limitBytes}: keep large data elsewhere and name it`,
  },
});
