/**
 * The simulator: `bin/node test/simulation/run.ts [SCENARIO] [--from SEED] [--count N]`. Runs each scenario with the
 * seeds that were kept and with N more; a seed that fails is printed with the command that runs it again. The first
 * seed of each scenario is run twice: the two must be the same to the last event.
 */
import { parseArgs } from 'node:util';
import { brokerScenario } from './broker.ts';
import { keptSeeds } from './seeds.ts';
import { servingScenario } from './serving.ts';
import { type Simulation, simulate } from './simulation.ts';

const scenarios: Record<string, { run: (simulation: Simulation) => Promise<void>; count: number }> = {
  broker: { run: brokerScenario, count: 200 },
  serving: { run: servingScenario, count: 60 },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { from: { type: 'string', default: '1' }, count: { type: 'string' } },
});
const unknown = positionals.find((name) => !(name in scenarios));
if (unknown !== undefined) {
  console.error(`there is no scenario "${unknown}": choose from ${Object.keys(scenarios).join(', ')}`);
  process.exit(2);
}

let passed = 0;
let failed = 0;
for (const [name, { run, count }] of Object.entries(scenarios)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const startedMs = performance.now();
  const fresh = Array.from({ length: Number(values.count ?? count) }, (_, i) => Number(values.from) + i);
  const kept = (keptSeeds[name] ?? []).map(({ seed }) => seed);
  const seeds = [...new Set([...kept, ...fresh])];
  let simulatedSeconds = 0;
  for (const [i, seed] of seeds.entries()) {
    try {
      const first = await simulate(seed, run);
      simulatedSeconds += first.seconds;
      if (i === 0) await checkSame(first, seed, run);
      passed++;
    } catch (error) {
      failed++;
      console.log(`\nFAILED ${name} with seed ${seed}: ${error instanceof Error ? error.message : error}`);
      console.log(`again: bin/node test/simulation/run.ts ${name} --from ${seed} --count 1`);
    }
  }
  const tookSeconds = (performance.now() - startedMs) / 1000;
  const hours = (simulatedSeconds / 3600).toFixed(1);
  console.log(`${name}: ${seeds.length} seeds, ${hours} simulated hours in ${tookSeconds.toFixed(0)} s`);
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

async function checkSame(first: Simulation, seed: number, run: (simulation: Simulation) => Promise<void>) {
  const again = await simulate(seed, run);
  if (again.fingerprint() === first.fingerprint()) return;
  throw new Error(`two runs of seed ${seed} differ: something in it depends on real time, threads or real randomness`);
}
