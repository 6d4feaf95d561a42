import { releaseCommand } from '../lib/quarantine.ts';
import { listSetAside, release } from '../server/quarantine-files.ts';
import { type RoleName, roleNames } from '../server/roles.ts';
import type { CommonOptions } from './platform.ts';
import { print } from './terminal.ts';

export interface ReleaseOptions {
  all?: boolean;
}

/** `kittiwake release ROLE NAME`: gives back what was set aside; a role that runs hears of it, another at its start. */
export function releaseWork(common: CommonOptions, role: string, words: string[], { all }: ReleaseOptions): void {
  const { dataDir } = common;
  if (!isRole(role)) throw new Error(`there is no role ${JSON.stringify(role)}: it is one of ${roleNames.join(', ')}`);
  const name = words.join(' ');
  if ((name === '') === (all !== true)) throw new Error('say what to give back: its name, or --all');
  const setAside = listSetAside(dataDir, role);
  const wanted = all === true ? setAside.map((entry) => entry.name) : [name];
  if (wanted.length === 0) throw new Error(`nothing of the ${role} role is set aside`);
  for (const each of wanted) {
    if (!release(dataDir, role, each)) {
      const others = setAside.map((entry) => `\n  ${releaseCommand(role, entry.name)}`).join('');
      const what = setAside.length === 0 ? 'nothing is' : `these are:${others}`;
      throw new Error(`${JSON.stringify(each)} of the ${role} role is not set aside: ${what}`);
    }
    print(`${each} given back to the ${role} role`);
  }
}

const isRole = (name: string): name is RoleName => roleNames.some((role) => role === name);
