import type { Attributes } from '../cloudevents/event.ts';

/** How many more times an event may enter a broker: it ends loops of replies. Subscribers do not see it. */
export const ttlAttribute = 'knativebrokerttl';
const ttlInitial = 255;

/** What is left for an event that enters with `attributes`: one less than it came with. 0 and below must be refused. */
export function nextTtl(attributes: Attributes): number {
  const left = Number(attributes[ttlAttribute]);
  return Number.isInteger(left) ? left - 1 : ttlInitial;
}

/** The attributes as they are sent on. */
export function withoutTtl(attributes: Attributes): Attributes {
  const { [ttlAttribute]: _, ...others } = attributes;
  return others;
}
