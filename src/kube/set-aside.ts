import { EventKind } from '../api/core/event.ts';
import type { Kind } from '../api/kind.ts';
import { type Condition, type Conditioned, type KubeObject, timestamp } from '../api/meta.ts';
import { isConflict } from '../api/status.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { type Quarantine, releaseCommand } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { Client } from './client.ts';
import { dated } from './conditions.ts';
import { recordEvent, type Said } from './events.ts';

type WithConditions = KubeObject & { status?: Conditioned };

const conditionType = 'Reconciled';
const conditionReason = 'SetAside';

/**
 * Says at an object that one of its reconciles is set aside: in the condition `Reconciled`, where the kind has
 * conditions, and by an Event. Both name the way back.
 */
export class SetAsideNotices {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #quarantine: Quarantine;
  readonly #role: string;
  /** By the work's name, the UID of the object that says so: another controller may write the status without it. */
  readonly #told = new Map<string, string>();

  constructor(options: { client: Client; clock: Clock; quarantine: Quarantine; role: string }) {
    this.#client = options.client;
    this.#clock = options.clock;
    this.#quarantine = options.quarantine;
    this.#role = options.role;
  }

  /** Once for each object and process. Throws what the API does: then it is not told yet. */
  async tell(kind: Kind, object: WithConditions, work: string, log: Logger): Promise<void> {
    const { uid = '' } = object.metadata;
    if (this.#told.get(work) === uid) return;
    const message =
      `reconciling it ended the process twice, so it is left alone; once the cause is mended, ` +
      `give it back with: ${releaseCommand(this.#role, work)}`;
    log.error({ work, kind: kind.kind, uid }, message);
    if (hasConditions(kind)) await this.#writeCondition(kind, object, message);
    await this.#record(kind, object, work, message, log);
    this.#told.set(work, uid);
  }

  /** Takes the condition away when what it names was released. Returns whether it did: then the object has changed. */
  async clear(kind: Kind, object: WithConditions): Promise<boolean> {
    const condition = object.status?.conditions?.find(isNotice);
    if (!condition) return false;
    const { message = '' } = condition;
    if (this.#quarantine.names.some((name) => message.endsWith(releaseCommand(this.#role, name)))) return false;
    await this.#writeStatus(kind, object, others(object));
    return true;
  }

  forget(work: string): void {
    this.#told.delete(work);
  }

  async #writeCondition(kind: Kind, object: WithConditions, message: string): Promise<void> {
    const old = object.status?.conditions;
    if (old?.find(isNotice)?.message === message) return;
    const notice: Condition = { type: conditionType, status: 'False', reason: conditionReason, message };
    const now = timestamp(this.#clock.now());
    await this.#writeStatus(kind, object, [...others(object), dated(notice, old, now)]);
  }

  async #writeStatus(kind: Kind, object: WithConditions, conditions: Condition[]): Promise<void> {
    const next: WithConditions = { ...object, status: { ...object.status, conditions } };
    await this.#client.update(kind as Kind<WithConditions>, next, 'status');
  }

  async #record(kind: Kind, object: KubeObject, work: string, message: string, log: Logger): Promise<void> {
    if (kind.kind === EventKind.kind) return;
    const source = { component: `kittiwake-${this.#role}` };
    const said: Said = { type: 'Warning', reason: conditionReason, message, source };
    try {
      await recordEvent(this.#client, kind, object, said, this.#clock.now());
    } catch (error) {
      if (isConflict(error)) throw error;
      // The condition and the log say it already; an Event that is refused would be refused again.
      log.warn({ work, reason: messageOf(error) }, 'the Event that says so was refused');
    }
  }
}

const isNotice = ({ type, reason }: Condition) => type === conditionType && reason === conditionReason;

const others = (object: WithConditions) =>
  (object.status?.conditions ?? []).filter(({ type }) => type !== conditionType);

const hasConditions = (kind: Kind) => kind.schema.properties?.status?.properties?.conditions !== undefined;
