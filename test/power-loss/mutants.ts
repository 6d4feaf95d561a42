import type { Mutant } from './recorder.ts';

const log = 'src/eventing/backends/sqlite/sqlite-file.ts';
const writer = 'src/cluster/store/writer.ts';

/** Ways to break the promises, by component and name: each must be noticed. The quoted text stands once in its file. */
export const mutants: Record<string, Record<string, Mutant>> = {
  broker: {
    'the answer does not wait for the log': {
      file: 'src/eventing/broker/ingress.ts',
      from: 'await broker.accept(',
      to: 'void broker.accept(',
    },
  },
  'data folder': {
    'the authority is not synced': {
      file: 'src/cluster/apiserver/http/pki/pki.ts',
      from: 'const isAuthority = expected === undefined;',
      to: 'const isAuthority = false;',
    },
  },
  'event log': {
    'no fdatasync before an append is acknowledged': {
      file: log,
      from: 'fdatasync: flush = fdatasync',
      to: 'fdatasync: flush = (_fd, done) => setImmediate(done, null)',
    },
    'synchronous=OFF': { file: log, from: 'synchronous = NORMAL', to: 'synchronous = OFF' },
  },
  node: {
    'a layer is marked as synced before it is': {
      file: 'src/cluster/node/images/sync-tree.ts',
      from: 'fsyncSync(file);',
      to: '',
    },
  },
  registry: {
    'a blob is not synced': { file: 'src/registry/server/uploads.ts', from: 'await file.datasync();', to: '' },
    'a manifest is not synced': { file: 'src/lib/durable.ts', from: 'if (mustLast) await file.datasync();', to: '' },
  },
  store: {
    'synchronous=OFF': { file: writer, from: 'synchronous = FULL', to: 'synchronous = OFF' },
    'synchronous=NORMAL': { file: writer, from: 'synchronous = FULL', to: 'synchronous = NORMAL' },
  },
};
