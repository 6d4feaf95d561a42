import type { PlanOptions, Step } from '../pack.ts';

/** The project's own `build` script. */
export function buildScript(script: string, { env }: PlanOptions): Step {
  return {
    progress: `running the build script: ${script}`,
    shown: script,
    command: ['/bin/sh', '-c', script],
    env,
    path: ['node_modules/.bin'],
    usesNetwork: false,
    runsForeignCode: true,
    failure: { reason: 'CompileFailed', message: `the build script "${script}" failed` },
  };
}

/** The lines that name a place come first in what a reader needs. */
export function compileLines(output: string): string[] {
  // Cut, because a pattern that looks everywhere in a line takes the square of its length.
  const lines = output
    .trim()
    .split('\n')
    .map((line) => line.slice(0, 1000));
  const places = lines.filter((line) => /[\w./-]+\.[mc]?[jt]sx?[:(]\d+/.test(line));
  return places.length > 0 ? places.slice(0, 10) : lines.slice(-10);
}
