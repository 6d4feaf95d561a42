/** As long as a path may be on Linux. */
const nameMaxBytes = 4096;

/** The name without leading `/` and `./`; '' is the root. Refuses what climbs out of it. */
export function containedPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0')) throw leadsOut(name);
  if (Buffer.byteLength(name) > nameMaxBytes) throw new Error(`the entry ${shown(name)} has a name of too many bytes`);
  return parts.join('/');
}

export const leadsOut = (name: string) => new Error(`the entry ${shown(name)} leads out of the layer: it is refused`);
/** The name, for a message. */
export const shown = (name: string) => JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
