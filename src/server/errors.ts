import { defineErrors } from '../lib/errors.ts';

export const configErrors = defineErrors({
  BIND_ADDRESS_OPEN: {
    status: 500,
    fault: 'user',
    message: (p: { bindAddress: string }) =>
      `at ${p.bindAddress} other machines reach gateway, broker, registry and metrics, ` +
      'which ask nobody who they are: leave out --bind-address, or let everybody in with --without-credentials',
  },
});

export const dataDirErrors = defineErrors({
  DATA_DIR_IN_USE: {
    status: 500,
    fault: 'user',
    message: (p: { dataDir: string; pid: string }) =>
      `the data folder ${p.dataDir} is in use by process ${p.pid}: ` +
      `stop it with 'kittiwake down', or choose another with --data-dir`,
  },
  DATA_DIR_FOREIGN: {
    status: 500,
    fault: 'user',
    message: (p: { dataDir: string; name: string }) =>
      `the folder ${p.dataDir} holds what is not kittiwake's (${p.name}): ` +
      `name a new or an empty folder with --data-dir`,
  },
  DATA_DIR_LOCKED: {
    status: 500,
    fault: 'user',
    message: (p: { dataDir: string; lockFile: string }) =>
      `the data folder ${p.dataDir} is locked, but by no platform: end the program that has ${p.lockFile} open ` +
      `('fuser' and 'lsof' name it), or choose another with --data-dir`,
  },
  DATA_DIR_TOO_NEW: {
    status: 500,
    fault: 'user',
    message: (p: { dataDir: string; found: string; known: number }) =>
      `the data folder ${p.dataDir} has format ${p.found}, this version reads up to ${p.known}: ` +
      `upgrade kittiwake, or choose another with --data-dir`,
  },
});
