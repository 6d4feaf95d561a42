import { defineErrors } from '../lib/errors.ts';

export const eventErrors = defineErrors({
  EVENT_INVALID: {
    status: 400,
    fault: 'user',
    message: (p: { why: string }) => `not a valid CloudEvent: ${p.why}`,
  },
  EVENT_MODE_UNSUPPORTED: {
    status: 415,
    fault: 'user',
    message: (p: { contentType: string }) =>
      `content type ${p.contentType} is not supported: ` +
      `send one event a request, in binary mode or as application/cloudevents+json`,
  },
  EVENT_TOO_LARGE: {
    status: 413,
    fault: 'user',
    message: (p: { limitBytes: number }) =>
      `the event is larger than ${p.limitBytes} bytes: send less, or a link to the data`,
  },
  BROKER_NOT_FOUND: {
    status: 404,
    fault: 'user',
    message: (p: { name: string; namespace: string }) =>
      `there is no broker "${p.name}" in namespace "${p.namespace}": 'kittiwake get brokers -A' lists them`,
  },
  BROKER_NOT_READY: {
    status: 503,
    fault: 'system',
    message: (p: { broker: string; why: string }) => `broker ${p.broker} does not accept events yet: ${p.why}`,
  },
  BROKER_BUSY: {
    status: 503,
    fault: 'system',
    message: (p: { heldBytes: number }) => `the broker holds ${p.heldBytes} bytes that are not on disk yet: try again`,
  },
  EVENT_LOG_FULL: {
    status: 503,
    fault: 'system',
    message: (p: { broker: string; heldBytes: number; limitBytes: number; slowest: string }) =>
      `the log of broker ${p.broker} holds ${p.heldBytes} bytes, its limit is ${p.limitBytes}: ` +
      `its triggers are behind (${p.slowest}); nothing was accepted, try again`,
  },
  EVENT_LOG_FAILED: {
    status: 503,
    fault: 'system',
    message: (p: { path: string; why: string }) =>
      `the event log ${p.path} could not be read or written: ${p.why}; ` +
      `if the file is damaged, put a copy back, or move it away to begin with an empty log`,
  },
  EVENT_LOG_TOO_NEW: {
    status: 500,
    fault: 'user',
    message: (p: { path: string; found: number; known: number }) =>
      `the event log ${p.path} has format ${p.found}, this version reads up to ${p.known}: upgrade kittiwake`,
  },
  EVENT_LOG_IN_USE: {
    status: 500,
    fault: 'system',
    message: (p: { path: string }) => `the event log ${p.path} is in use by another process: stop the other broker`,
  },
});
