import type { PortName } from './config.ts';
import type { Role, RoleContext } from './role.ts';

/** The processes of a platform on one machine, in the order in which they are named to the user. */
export const roleNames = ['control', 'gateway', 'broker'] as const;
export type RoleName = (typeof roleNames)[number];

export interface RoleDefinition {
  /** Its assembly, which only its own process loads. */
  load(): Promise<{ start(context: RoleContext): Promise<Role> }>;
  /** The sockets that the supervisor holds for it: connections wait in them while it is started again. */
  sockets: readonly PortName[];
}

export const roles: Record<RoleName, RoleDefinition> = {
  control: { load: () => import('./control.ts'), sockets: ['registry', 'api'] },
  gateway: { load: () => import('./gateway.ts'), sockets: ['gateway'] },
  broker: { load: () => import('./broker.ts'), sockets: ['broker'] },
};
