import type { Quarantine } from '../lib/quarantine.ts';
import type { ListenHandle } from '../observe/listen.ts';
import type { Logger } from '../observe/log.ts';
import type { Config, PortName } from './config.ts';

/** The processes of a platform on one machine, in the order in which they are named to the user. */
export const roleNames = ['control', 'gateway', 'broker', 'network'] as const;
export type RoleName = (typeof roleNames)[number];

export interface RoleDefinition {
  /** Its assembly, which only its own process loads. */
  load(): Promise<{ start(context: RoleContext): Promise<Role> }>;
  /** The sockets that the supervisor holds for it: connections wait in them while it is started again. */
  sockets: readonly PortName[];
  /** Whether there is one at all; always unless given. */
  isWanted?(config: Config): boolean;
}

export const roles: Record<RoleName, RoleDefinition> = {
  control: { load: () => import('./control.ts'), sockets: ['registry', 'api'] },
  gateway: { load: () => import('./gateway.ts'), sockets: ['gateway'] },
  broker: { load: () => import('./broker.ts'), sockets: ['broker'] },
  network: {
    load: () => import('./embedded/network.ts'),
    sockets: [],
    isWanted: ({ hasPodNetwork }) => hasPodNetwork === true,
  },
};

/** Those that this platform has. */
export const rolesOf = (config: Config): RoleName[] =>
  roleNames.filter((role) => roles[role].isWanted?.(config) ?? true);

/** What a role's assembly gets. */
export interface RoleContext {
  config: Config;
  log: Logger;
  quarantine: Quarantine;
  /** Listening sockets that the supervisor holds: connections wait in them while a role is started again. */
  sockets: Partial<Record<PortName, ListenHandle>>;
  /** Ends this process, for it cannot go on; the supervisor starts another, and blames no work. */
  end(why: string): void;
}

/** What a role's assembly gives back: how to end it within 1.5 s. */
export interface Role {
  stop(): Promise<void>;
}
