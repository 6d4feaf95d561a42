import type { Condition } from '../api/meta.ts';

/**
 * Knative's living condition set: the happy condition is True when all dependents are, False when one is, else Unknown.
 * Informational conditions are recorded with severity Info and do not count. Without dependents the happy condition is
 * what it is marked as.
 */
export interface ConditionSet<T extends string> {
  readonly happy: T;
  /**
   * Starts from `conditions` as stored; `now` (RFC 3339) is when a status that changes here has changed. What is marked
   * on the way and ends as it was stored has not changed.
   */
  manage(conditions: readonly Condition[] | undefined, now: string): ConditionManager<T>;
}

export interface ConditionManager<T extends string> {
  markTrue(type: T, reason?: string, message?: string): void;
  markFalse(type: T, reason: string, message: string): void;
  markUnknown(type: T, reason: string, message: string): void;
  /** Makes `type` say what was found elsewhere, such as in a condition of a child. What is True needs no reason. */
  copy(type: T, found: Pick<Condition, 'status' | 'reason' | 'message'>): void;
  /** Takes the condition away: it does not apply. */
  clear(type: T): void;
  isTrue(type: T): boolean;
  get(type: T): Condition | undefined;
  /** Whether something that counts was marked False here and still is, rather than stored as False. */
  readonly foundFalse: boolean;
  /** All conditions, sorted by type as Knative does, with the happy one up to date. */
  readonly conditions: Condition[];
}

export function conditionSet<T extends string>(types: {
  happy: T;
  dependents: readonly T[];
  informational?: readonly T[];
}): ConditionSet<T> {
  const { happy, dependents, informational = [] } = types;
  return {
    happy,
    manage(stored, now) {
      const marked = new Set<T>();
      const byType = new Map<string, Condition>((stored ?? []).map((c) => [c.type, c]));

      const set = (type: T, status: Condition['status'], reason?: string, message?: string) => {
        const next = dated<Condition>({ type, status }, stored, now);
        if (reason) next.reason = reason;
        if (message) next.message = message;
        if (informational.includes(type)) next.severity = 'Info';
        byType.set(type, next);
        if (type !== happy) summarize();
      };

      /** Worst first: the first False dependent speaks for all, then the first Unknown one. */
      const summarize = () => {
        const found = dependents.map((type) => byType.get(type));
        const worst =
          found.find((c) => c?.status === 'False') ?? found.find((c) => c !== undefined && c.status !== 'True');
        if (worst) set(happy, worst.status, worst.reason, worst.message);
        else if (found.includes(undefined)) set(happy, 'Unknown');
        else if (dependents.length > 0) set(happy, 'True');
        else if (!byType.has(happy)) set(happy, 'Unknown');
      };

      const mark = (type: T, status: Condition['status'], reason?: string, message?: string) => {
        marked.add(type);
        set(type, status, reason, message);
      };

      for (const type of dependents) if (!byType.has(type)) set(type, 'Unknown');
      summarize();
      return {
        markTrue: (type, reason, message) => mark(type, 'True', reason, message),
        markFalse: (type, reason, message) => mark(type, 'False', reason, message),
        markUnknown: (type, reason, message) => mark(type, 'Unknown', reason, message),
        copy(type, { status, reason, message }) {
          if (status === 'True') mark(type, status);
          else mark(type, status, reason, message);
        },
        clear(type) {
          byType.delete(type);
          if (type !== happy) summarize();
        },
        isTrue: (type) => byType.get(type)?.status === 'True',
        get: (type) => byType.get(type),
        get foundFalse() {
          return [happy, ...dependents].some((type) => marked.has(type) && byType.get(type)?.status === 'False');
        },
        get conditions() {
          return [...byType.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
        },
      };
    },
  };
}

/**
 * `next` with the time since when it has its status, given what is stored. Of itself it is for kinds that have no happy
 * condition, such as Kubernetes' own.
 */
export function dated<C extends Condition>(next: C, stored: readonly Condition[] | undefined, now: string): C {
  const before = stored?.find((condition) => condition.type === next.type);
  return { ...next, lastTransitionTime: (before?.status === next.status && before.lastTransitionTime) || now };
}
