/** What comes to the autoscaler's socket instead of a gateway's report. */
const report = (change: object) =>
  JSON.stringify({
    gateway: 'hostile',
    at: Date.UTC(2026, 0, 1),
    revisions: [{ namespace: 'default', name: 'canary-00001', averageConcurrency: 1, requestCount: 1, queued: 0 }],
    ...change,
  });
const stats = (change: object) =>
  report({
    revisions: [{ namespace: 'default', name: 'x', averageConcurrency: 1, requestCount: 1, queued: 0, ...change }],
  });

export const reports: Record<string, string> = {
  nothing: '',
  null: 'null',
  'half of a JSON': '{"gateway":',
  'revisions of text': report({ revisions: 'x' }),
  'revisions of nulls': report({ revisions: [null, 5, []] }),
  'a million revisions': `{"gateway":"h","at":1,"revisions":[${'{},'.repeat(1_000_000)}{}]}`,
  'a gateway of 10 kB': report({ gateway: 'g'.repeat(10_000) }),
  'a gateway of prototypes': report({ gateway: '__proto__' }),
  'a time of the far future': report({ at: 8.64e15 + 1 }),
  'a time below zero': report({ at: -1 }),
  'a concurrency of 1e308': stats({ averageConcurrency: 1e308, queued: 1e308 }),
  'a concurrency below zero': stats({ averageConcurrency: -5 }),
  'a concurrency of NaN': stats({}).replace('"averageConcurrency":1', '"averageConcurrency":NaN'),
  'a concurrency of text': stats({ averageConcurrency: '1' }),
  'a revision of prototypes': stats({ namespace: '__proto__', name: 'constructor' }),
  'a report 10,000 deep': `${'['.repeat(10_000)}${']'.repeat(10_000)}`,
};
