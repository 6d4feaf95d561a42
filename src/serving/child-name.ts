import { createHash } from 'node:crypto';

/** The longest name that is still a DNS label. */
const lengthMax = 63;

/** `parent` + `suffix`, or when that is too long for a DNS label, a shortened parent with a hash of it. */
export function childName(parent: string, suffix: string): string {
  const name = parent + suffix;
  if (name.length <= lengthMax) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const room = lengthMax - hash.length;
  return suffix.length < room
    ? `${parent.slice(0, room - suffix.length)}${hash}${suffix}`
    : `${parent.slice(0, room - 1)}-${hash}`;
}
