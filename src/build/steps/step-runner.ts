import type { Step } from '../packs/pack.ts';

/** Where a step runs, and who hears it. */
export interface StepPlace {
  /** What it works on, and where it leaves what it makes. */
  folder: string;
  /** For its temporary files. */
  home: string;
  /** Takes what it prints, as it comes. */
  print(text: string): void;
}

export interface StepResult {
  exitCode: number;
}

/** Runs steps: as processes of this machine, or in a sandbox. */
export interface StepRunner {
  /**
   * Resolves when nothing of the step runs any more. Rejects with the signal's reason when that aborts, and when the
   * program cannot be started.
   */
  run(step: Step, place: StepPlace, signal: AbortSignal): Promise<StepResult>;
}
