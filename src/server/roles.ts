/** The processes of a platform on one machine, in the order in which they are named to the user. */
export const roleNames = ['control', 'gateway', 'broker'] as const;
export type RoleName = (typeof roleNames)[number];
