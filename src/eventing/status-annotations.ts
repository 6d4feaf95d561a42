/**
 * What the broker's process reports of itself in `status.annotations`, which the controllers turn into conditions: an
 * object is Ready only when the data path really has it, so an event that is sent as soon as a trigger is Ready
 * reaches it. The value is the object's uid (a recreated object is another one), or `error: ` and what is wrong.
 */
export const servingAnnotation = 'eventing.kittiwake.dev/serving';

/** On a Trigger: the names of deliveries that ended the broker's process twice and are left alone, one a line. */
export const setAsideAnnotation = 'eventing.kittiwake.dev/set-aside';

export const servingError = (message: string): string => `error: ${message}`;

/** Whether the data path has this object: yes, no with the reason, or not yet. */
export function servingState(
  annotations: Record<string, string> | undefined,
  uid: string | undefined,
): { is: 'serving' } | { is: 'failed'; why: string } | { is: 'unknown' } {
  const value = annotations?.[servingAnnotation];
  if (value === undefined) return { is: 'unknown' };
  if (value.startsWith('error: ')) return { is: 'failed', why: value.slice('error: '.length) };
  return value === uid ? { is: 'serving' } : { is: 'unknown' };
}
