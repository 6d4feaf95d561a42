import { delimiter, join } from 'node:path';
import { networkEnvironment, stepEnvironment } from './environment.ts';
import { runProcess } from './process.ts';
import type { StepRunner } from './step-runner.ts';

/** Runs steps as processes of this machine, with the rights of the platform; those that run are noted in `pidDir`. */
export function processRunner(pidDir: string): StepRunner {
  return {
    async run(step, { folder, home, print }, signal) {
      const env = stepEnvironment(home, { ...(step.usesNetwork ? networkEnvironment() : {}), ...step.env });
      const [command = '', ...args] = step.command;
      const exitCode = await runProcess({
        command,
        args,
        cwd: folder,
        env: { ...env, PATH: [...step.path.map((inner) => join(folder, inner)), env.PATH].join(delimiter) },
        log: { write: print },
        signal,
        pidDir,
        runsForeignCode: step.runsForeignCode,
      });
      return { exitCode };
    },
  };
}
