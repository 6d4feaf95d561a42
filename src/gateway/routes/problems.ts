import type { KubeObject } from '../../api/meta.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Problem } from './change.ts';

/** Hears what is wrong with item `at` of a field; -1 is the field itself. */
export type Report = (why: string, at: number) => void;

/** Collects what is wrong with `field` of an object among `problems`. */
export function reportOf(kind: string, { metadata }: KubeObject, field: string, problems: Problem[]): Report {
  return (why, at) => {
    const where = at === -1 ? field : `${field}[${at}]`;
    problems.push({ object: `${kind} ${metadata.namespace ?? ''}/${metadata.name}`, why: `${where}: ${why}` });
  };
}

/** Calls `work` with each of `items`; what it throws is a problem of that one. */
export function each<T>(items: readonly T[], report: Report, work: (item: T, at: number) => void): void {
  if (!Array.isArray(items)) {
    report('is not a list', -1);
    return;
  }
  for (const [at, item] of items.entries()) attempt(report, at, () => work(item, at));
}

/** Calls `work`; what it throws is a problem at `at`. */
export function attempt(report: Report, at: number, work: () => void): void {
  try {
    work();
  } catch (error) {
    report(messageOf(error), at);
  }
}
