import { EventEmitter } from 'node:events';
import type { KubeObject } from '../../../api/meta.ts';
import { KittiwakeError } from '../../../lib/errors.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { FromWriter, Row, RowChange, ToWriter } from '../protocol.ts';
import { Store, type StoreOptions, type StoreWriter } from '../store.ts';

/** The store's writer as a test plays it: what the store sent stands in `sent`, and the test says what comes back. */
export class ScriptedWriter extends EventEmitter implements StoreWriter {
  readonly sent: ToWriter[] = [];
  isTerminated = false;
  /** What it does when it is asked to close. */
  close = () => this.say({ type: 'closed' });
  #answered = 0;

  postMessage(message: ToWriter): void {
    this.sent.push(message);
    if (message.type === 'close') queueMicrotask(() => this.close());
  }

  async terminate(): Promise<number> {
    this.isTerminated = true;
    return 0;
  }

  say(...messages: FromWriter[]): void {
    for (const message of messages) {
      if (message.type === 'committed' || message.type === 'failed') this.#answered++;
      this.emit('message', message);
    }
  }

  /** The changes of the commit that the store sent last. */
  get changes(): RowChange[] {
    const message = this.sent.at(-1);
    return message?.type === 'commit' ? message.changes : [];
  }

  /** Acknowledges each commit that is under way, and those that the store sends thereupon. */
  async commitAll(): Promise<void> {
    for (;;) {
      await undefined; // The store sends what was written in one turn when the turn ends.
      if (this.commits === this.#answered) return;
      this.say({ type: 'committed' });
    }
  }

  get commits(): number {
    return this.sent.filter(({ type }) => type === 'commit').length;
  }
}

export const configMap = (name: string, text = '') =>
  ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { text } }) as KubeObject;

export const rowOf = (id: number, table: string, key: string, revision: number): Row => ({
  ...{ id, table, key, revision },
  json: JSON.stringify(configMap(key)),
});

export const opened: Extract<FromWriter, { type: 'opened' }> = {
  type: 'opened',
  deletions: [],
  durability: { journalMode: 'wal', synchronous: 2 },
};

export function opening(options: Partial<StoreOptions> = {}) {
  const writer = new ScriptedWriter();
  const errors: object[] = [];
  const store = Store.open({
    file: '/data/store.db',
    clock: new VirtualClock(),
    log: { ...silentLogger, error: (fields: object) => errors.push(fields) },
    startWriter: () => writer,
    ...options,
  });
  return { writer, store, errors };
}

export async function open(messages: FromWriter[] = [opened], options: Partial<StoreOptions> = {}) {
  const { writer, store, errors } = opening(options);
  writer.say(...messages);
  return { writer, store: await store, errors };
}

export const isCode = (code: string) => (error: unknown) => error instanceof KittiwakeError && error.code === code;

/** 'pending', 'done', or the code that it failed with, by now. */
export async function outcomeOf(promise: Promise<void>): Promise<string> {
  return Promise.race([
    promise.then(
      () => 'done',
      (error: unknown) => (error instanceof KittiwakeError ? error.code : String(error)),
    ),
    new Promise<string>((resolve) => setImmediate(() => resolve('pending'))),
  ]);
}
