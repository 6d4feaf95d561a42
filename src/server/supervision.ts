/** What supervisor and role say to one another, and the files that a role leaves for after its end. */
import { join } from 'node:path';
import { isKill } from '../lib/processes.ts';
import type { Config, PortName } from './config.ts';
import type { RoleName } from './roles.ts';
import type { UnderWay } from './work-board.ts';

/** In the environment of a role, as JSON under KITTIWAKE_ROLE: small, for the system bounds it. */
export interface RoleStart {
  config: Config;
}

/** What the processes before this one have left. */
export interface Inheritance {
  setAside: string[];
  suspects: string[];
  /** The process before this one died of its own doing. */
  isCareful: boolean;
}

export type ToRole =
  | { type: 'socket'; port: PortName }
  /** All sockets are there. */
  | ({ type: 'start' } & Inheritance)
  /** What is set aside has changed. */
  | { type: 'quarantine'; setAside: string[] };

export type FromRole =
  | { type: 'ready' }
  | { type: 'failed'; message: string }
  | { type: 'beat' }
  /** It has set this aside by itself, and is to hear when it is released. */
  | { type: 'set aside'; name: string };

/** How often a role says that its event loop turns. */
export const beatMs = 500;

export const workBoardFile = (dataDir: string, role: RoleName) => join(dataDir, 'run', `${role}.work`);
export const crashFile = (dataDir: string, role: RoleName) => join(dataDir, 'run', `${role}.crash`);

/** How a role's process came to its end. */
export type Death =
  /** It said why it cannot start, or go on. */
  | { kind: 'failed'; why: string }
  /** There was none: the system could not make it. */
  | { kind: 'unborn'; why: string }
  /** The event loop did not turn, and the supervisor ended it. */
  | { kind: 'hung' }
  | { kind: 'exit'; code: number | null; signal: NodeJS.Signals | null };

/**
 * Whose work ended the process. What ran alone, being suspect already, is set aside; otherwise everything under way is
 * suspect. A process that somebody killed (SIGKILL, SIGTERM) or that ended itself was not ended by its work.
 */
export function blame(death: Death, underWay: UnderWay): { suspects: string[]; setAside: string[] } {
  if (!isOwnDoing(death)) return { suspects: [], setAside: [] };
  if (underWay.suspects.length > 0) return { suspects: [], setAside: underWay.suspects };
  return { suspects: underWay.others, setAside: [] };
}

/** Not killed by somebody, and not ended by itself. */
export function isOwnDoing(death: Death): boolean {
  return death.kind === 'hung' || (death.kind === 'exit' && !isKill(death.signal));
}
