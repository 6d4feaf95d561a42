import type { Survivor } from './survivor.ts';

/** Deciders, the event log, the broker, the quarantine, the work queue and the garbage collector; by file. */
export const servingAndEventing: readonly Survivor[] = [
  {
    file: 'src/eventing/filters/filter.ts',
    before: 'const only = list[0];',
    after: 'const only = list[1];',
    why: 'a shortcut: a list of one matches what its only filter matches',
  },
  {
    file: 'src/eventing/filters/filter.ts',
    before: 'if (list.length === 1 && only) return only;',
    after: 'if (false) return only;',
    why: 'a shortcut: a list of one matches what its only filter matches',
  },
  {
    file: 'src/eventing/broker/backoff.ts',
    before: "const factor = delivery.policy === 'exponential' ? 2 ** Math.min(retry - 1, 62) : retry;",
    after: "const factor = delivery.policy === 'exponential' ? 2 ** Math.min(retry - 1, 63) : retry;",
    why: 'any bound does that keeps the power finite and is beyond every maximum of a wait',
  },
  {
    file: 'src/eventing/broker/backoff.ts',
    before: 'if (header === undefined) return 0;',
    after: 'if (false) return 0;',
    why: 'the types ask for it: "undefined" is neither a number nor a date, so it is 0 further down, too',
  },
  {
    file: 'src/lib/quarantine.ts',
    before: 'const noBoard: WorkBoard = { begin: () => -1, end() {} };',
    after: 'const noBoard: WorkBoard = { begin: () => -2, end() {} };',
    why: 'the board that keeps nothing does not look at the place that it is given back',
  },
  {
    file: 'src/lib/quarantine.ts',
    before: "const line = /[\\u0000-\\u001f]/.test(text) ? text.replaceAll(/[\\u0000-\\u001f]/g, ' ') : text;",
    after: "const line = true ? text.replaceAll(/[\\u0000-\\u001f]/g, ' ') : text;",
    why: 'a shortcut, twice as fast: where no such character is, none is replaced',
  },
  {
    file: 'src/server/supervision.ts',
    before: 'export const beatMs = 500;',
    after: 'export const beatMs = 501;',
    why: 'a role is hung after many beats that did not come: how long one of them is, to the millisecond, is nothing',
  },
  {
    file: 'src/server/work-board.ts',
    before: 'const slotBytes = 512;',
    after: 'const slotBytes = 513;',
    why: 'the longest name has 480 bytes: one more byte for each place is one more space',
  },
  {
    file: 'src/kube/work-queue.ts',
    before: 'this.#timers.delete(key);',
    after: ';',
    why: 'it frees memory: a timer that has fired, or was cancelled, is cancelled again to no effect',
  },
  {
    file: 'src/eventing/backends/sqlite.ts',
    before: "if (from >= this.#end || this.#state === 'failed') return [];",
    after: "if (from > this.#end || this.#state === 'failed') return [];",
    why: 'a shortcut: nothing is at the end yet, wherever it is looked for',
  },
  {
    file: 'src/eventing/backends/sqlite-file.ts',
    before: 'const pageCountLimit = 4_294_967_294;',
    after: 'const pageCountLimit = 8589934588;',
    why: 'SQLite takes no more than its own limit, which this is',
  },
  {
    file: 'src/eventing/backends/sqlite-file.ts',
    before: 'syncFolder(dirname(path));',
    after: ';',
    why: 'only a loss of power shows whether the name of a new file is on disk: test/power-loss',
  },
  {
    file: 'src/eventing/backends/sqlite-file.ts',
    before: "if (Number(free?.freelist_count) > 4096) this.#db.exec('PRAGMA incremental_vacuum(1024)');",
    after: "if (Number(free?.freelist_count) >= 4096) this.#db.exec('PRAGMA incremental_vacuum(1024)');",
    why: 'whether pages are given back from 4,096 free ones on or from 4,097 is nothing',
  },
  {
    file: 'src/eventing/backends/sqlite-file.ts',
    before: "db.exec('PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 33554432');",
    after: ';',
    why: 'it makes the log fast and small, not right: without it SQLite flushes each commit once more by itself',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/graph.ts',
    before: 'return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);',
    after: 'return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent));',
    why: 'the types ask for it: a dependent is taken in and out together with its node',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    before: 'const concurrency = 8;',
    after: 'const concurrency = 9;',
    why: 'how many are looked at at once is a measure, not a promise',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    before: 'const orphansAtOnce = 32;',
    after: 'const orphansAtOnce = 33;',
    why: 'how many are disowned at once is a measure, not a promise',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    before: 'stopListening();',
    after: ';',
    why: 'the queue is stopped for good then: nothing comes of what a release adds to it',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    before: 'this.#leftAlone.delete(work);',
    after: ';',
    why: 'it frees memory: what is set aside anew is written there anew',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    before: 'if (uid !== undefined) this.#queue.add(uid);',
    after: 'if (true) this.#queue.add(uid);',
    why: 'the types ask for it: what the graph does not know is forgotten at its turn',
  },
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    before: "if (known?.isForeground && mayOwn(known.key, keyOf(dependent))) return 'waiting';",
    after: "if (false) return 'waiting';",
    why: 'a shortcut, one request less: the API says the same of an owner that waits',
  },
];
