/**
 * What a gateway tells the autoscaler, `POST /v1/stats`: each second about every revision with traffic, and at once
 * about a revision whose request met no ready pod.
 */
export interface StatsReport {
  /** Names the reporter: reports of different gateways for the same second add up. */
  gateway: string;
  /** Milliseconds since 1970 at the end of the period that the report covers. */
  at: number;
  revisions: RevisionStats[];
}

export interface RevisionStats {
  namespace: string;
  /** The Revision's name. */
  name: string;
  /** Requests in flight or waiting, averaged over the period. */
  averageConcurrency: number;
  /** Requests that arrived in the period. */
  requestCount: number;
  /** Requests that wait for a pod right now. */
  queued: number;
}

/** A report that is not one: `message` names the field. */
export class BadReport extends Error {
  override readonly name = 'BadReport';
}

const revisionsMax = 100_000;
/** More requests than this are no measurement. */
const amountMax = 1e9;

/** Checks what came over the wire; throws BadReport. */
export function parseStatsReport(value: unknown): StatsReport {
  const report = asObject(value, 'the report');
  const revisions = report.revisions;
  if (!Array.isArray(revisions)) throw new BadReport('revisions: expected an array');
  if (revisions.length > revisionsMax)
    throw new BadReport(`revisions: at most ${revisionsMax}, got ${revisions.length}`);
  return {
    gateway: asName(report.gateway, 'gateway'),
    at: asAmount(report.at, 'at', Number.MAX_SAFE_INTEGER),
    revisions: revisions.map((item: unknown, i) => {
      const stats = asObject(item, `revisions[${i}]`);
      return {
        namespace: asName(stats.namespace, `revisions[${i}].namespace`),
        name: asName(stats.name, `revisions[${i}].name`),
        averageConcurrency: asAmount(stats.averageConcurrency, `revisions[${i}].averageConcurrency`),
        requestCount: asAmount(stats.requestCount, `revisions[${i}].requestCount`),
        queued: asAmount(stats.queued, `revisions[${i}].queued`),
      };
    }),
  };
}

function asObject(value: unknown, field: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BadReport(`${field}: expected an object, got ${shown(value)}`);
  }
  return value as Record<string, unknown>;
}

function asName(value: unknown, field: string): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= 253) return value;
  throw new BadReport(`${field}: expected a name, got ${shown(value)}`);
}

function asAmount(value: unknown, field: string, max = amountMax): number {
  if (!(typeof value === 'number' && value >= 0)) {
    throw new BadReport(`${field}: expected a number, 0 or more, got ${shown(value)}`);
  }
  if (value > max) throw new BadReport(`${field}: expected at most ${max}, got ${value}`);
  return value;
}

/** What is nested is only named: to write it out may take more than there is. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return (JSON.stringify(value) ?? 'nothing').slice(0, 64);
}
