import type { Quarantine } from '../lib/quarantine.ts';
import type { Metrics } from '../observe/metrics.ts';

/** `kittiwake_set_aside`: how many pieces of work this role leaves alone because they ended its process twice. */
export function exposeQuarantine(metrics: Metrics, quarantine: Quarantine): void {
  const gauge = metrics.gauge('kittiwake_set_aside', 'Work that ended this process twice and is set aside.');
  Object.assign(gauge, { collect: () => gauge.set(quarantine.size) });
}
