import { childrenOf } from '../lib/processes.ts';

/** The process of each role that the supervisor has now, by its command line, as far as the system says. */
export function roleProcesses(supervisorPid: number | undefined): Record<string, number> {
  const children = supervisorPid === undefined ? [] : childrenOf(supervisorPid);
  return Object.fromEntries(
    children.flatMap(({ pid, command }) => {
      const at = command.findIndex((word) => word.endsWith('/role.ts'));
      return at < 0 ? [] : [[command[at + 1] ?? '', pid]];
    }),
  );
}
