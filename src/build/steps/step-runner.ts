/** A program to be run, wherever that is. */
export interface Program {
  command: readonly string[];
  /** Besides what every step has. */
  env: Readonly<Record<string, string>>;
  /** Folders whose programs come first, from the folder that it runs in. */
  path: readonly string[];
  /** It fetches: it is told how this machine reaches the network. */
  usesNetwork: boolean;
  /** The source's own code runs, or its dependencies': it may do anything that it can. */
  runsForeignCode: boolean;
}

/** Where a program runs, and who hears it. */
export interface StepPlace {
  /** What it works on, and where it leaves what it makes. */
  folder: string;
  /** For its temporary files. */
  home: string;
  /** Takes what it prints, as it comes. */
  print(text: string): void;
  /** Takes its standard output instead, byte for byte. */
  onOutput?(chunk: Buffer): void;
  /** What it reads; nothing unless given. */
  input?: string;
}

export interface StepResult {
  exitCode: number;
}

/** Runs what builds need: as processes of this machine, or in a sandbox. */
export interface StepRunner {
  /**
   * Resolves when nothing of the program runs any more. Rejects with the signal's reason when that aborts, and when it
   * cannot be started.
   */
  run(program: Program, place: StepPlace, signal: AbortSignal): Promise<StepResult>;
}
