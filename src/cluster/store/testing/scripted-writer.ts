import { EventEmitter } from 'node:events';
import type { FromWriter, RowChange, ToWriter } from '../protocol.ts';
import type { StoreWriter } from '../store.ts';

/** The store's writer as a test plays it: what the store sent stands in `sent`, and the test says what comes back. */
export class ScriptedWriter extends EventEmitter implements StoreWriter {
  readonly sent: ToWriter[] = [];
  isTerminated = false;

  postMessage(message: ToWriter): void {
    this.sent.push(message);
    if (message.type === 'close') queueMicrotask(() => this.say({ type: 'closed' }));
  }

  async terminate(): Promise<number> {
    this.isTerminated = true;
    return 0;
  }

  say(...messages: FromWriter[]): void {
    for (const message of messages) this.emit('message', message);
  }

  /** The changes of the commit that the store sent last. */
  get changes(): RowChange[] {
    const message = this.sent.at(-1);
    return message?.type === 'commit' ? message.changes : [];
  }

  /** Acknowledges each commit, and those that the store sends thereupon. */
  async commitAll(): Promise<void> {
    for (let done = this.commits; ; done++) {
      await undefined; // The store sends what was written in one turn when the turn ends.
      if (this.commits === done) break;
      this.say({ type: 'committed' });
    }
  }

  get commits(): number {
    return this.sent.filter(({ type }) => type === 'commit').length;
  }
}
