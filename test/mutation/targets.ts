/** The core: each file with the tests that must notice its mutants, the fastest first. */
export interface Target {
  file: string;
  tests: readonly string[];
}

const beside = (file: string, ...more: string[]): Target => ({
  file,
  tests: [file.replace(/\.ts$/, '.test.ts'), ...more],
});

const sqlite = 'src/eventing/backends/sqlite/sqlite-log.test.ts';
const sqliteOwners = 'src/eventing/backends/sqlite/sqlite-log-owners.test.ts';
const sqliteBackend = 'src/eventing/backends/sqlite/sqlite-backend.test.ts';
const dispatching = 'src/eventing/dispatcher/dispatcher-steps.test.ts';
const deadlines = 'src/eventing/dispatcher/dispatcher-deadlines.test.ts';
const replies = 'src/eventing/dispatcher/reply-sink.test.ts';
const sqliteBounds = 'src/eventing/backends/sqlite/sqlite-log-bounds.test.ts';
const badRequests = 'src/gateway/http1/bad-requests.test.ts';

export const targets: readonly Target[] = [
  // Deciders
  beside('src/serving/autoscaler/decider.ts'),
  beside('src/serving/autoscaler/windows.ts'),
  beside('src/serving/autoscaler/scaler.ts'),
  // Filters, and what an outcome means
  beside('src/eventing/filters/filter.ts'),
  beside('src/eventing/dispatcher/backoff.ts'),
  beside('src/eventing/dispatcher/outcome.ts'),
  beside('src/eventing/broker/time-to-live.ts'),
  // The store
  beside('src/cluster/store/key-set.ts'),
  beside('src/cluster/store/table.ts'),
  {
    file: 'src/cluster/store/store.ts',
    tests: ['src/cluster/store/commits.test.ts', 'src/cluster/store/bounds.test.ts'],
  },
  beside('src/cluster/store/writer.ts'),
  // What patches make of an object
  beside('src/cluster/apiserver/patch/json-patch.ts'),
  beside('src/cluster/apiserver/patch/merge-patch.ts'),
  beside('src/cluster/apiserver/patch/strategic-merge.ts'),
  // The event log
  beside('src/eventing/backends/sqlite/progress.ts'),
  beside('src/eventing/backends/sqlite/tail.ts'),
  beside('src/eventing/backends/sqlite/sqlite-log.ts', sqliteBounds, sqliteOwners, sqliteBackend),
  { file: 'src/eventing/backends/sqlite/log-cursor.ts', tests: [sqlite, sqliteBounds] },
  beside('src/eventing/backends/sqlite/sqlite-file.ts', sqlite, sqliteBackend),
  beside('src/eventing/backends/sqlite/sqlite-subscription.ts'),
  { file: 'src/eventing/backends/sqlite/sqlite-backend.ts', tests: [sqliteBackend] },
  // Who may have a log, and until when it is kept
  beside('src/eventing/broker/owner.ts'),
  beside('src/eventing/broker/reply-to-log.ts'),
  beside('src/eventing/broker/absences.ts'),
  // Delivery
  { file: 'src/eventing/dispatcher/dispatcher.ts', tests: [dispatching, deadlines, replies] },
  { file: 'src/eventing/dispatcher/posting.ts', tests: [dispatching, replies] },
  // The parser
  beside('src/gateway/http1/syntax.ts'),
  beside('src/gateway/http1/fields.ts'),
  { file: 'src/gateway/http1/chunked.ts', tests: [badRequests, 'src/gateway/http1/chunked.test.ts'] },
  beside('src/gateway/http1/chunked-decoder.ts'),
  {
    file: 'src/gateway/http1/request-head.ts',
    tests: [badRequests, 'src/gateway/http1/request-fields.test.ts', 'src/gateway/http1/request-head.test.ts'],
  },
  beside('src/gateway/http1/response-head.ts'),
  // The breaker
  beside('src/gateway/backend.ts'),
  beside('src/gateway/policies.ts'),
  beside('src/gateway/endpoint.ts'),
  beside('src/gateway/http1/idle-connections.ts', 'src/gateway/upstream-faults.test.ts'),
  beside('src/gateway/router.ts'),
  // What finds the culprit
  beside('src/lib/quarantine.ts'),
  beside('src/server/supervision.ts'),
  beside('src/server/work-board.ts'),
  beside('src/kube/work-queue.ts'),
  // What an owner leaves behind
  beside('src/cluster/workloads/garbage-collector/graph.ts'),
  {
    file: 'src/cluster/workloads/garbage-collector/collector.ts',
    tests: ['src/cluster/workloads/garbage-collector/collector-steps.test.ts'],
  },
];
