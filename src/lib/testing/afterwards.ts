/** The context of a test; undefined in hooks of a suite, which end what they have begun themselves. */
export type Scope = { after(end: () => unknown): void } | undefined;

const begun = new WeakMap<object, (() => unknown)[]>();

/** Has `end` called when the test is over, however it went; what was begun last ends first. */
export function afterwards(t: Scope, end: () => unknown): void {
  if (!t) return;
  const known = begun.get(t);
  if (known) {
    known.push(end);
    return;
  }
  const ends = [end];
  begun.set(t, ends);
  t.after(async () => {
    for (const each of ends.reverse()) await each();
  });
}
