/** Timers of Node hold 31 bits of milliseconds; nobody waits for longer than a day. */
const secondsMax = 86_400;

/** The seconds that an option gives. Throws, naming the option, when they are none. */
export function parseSeconds(option: string, text: string): number {
  const seconds = Number(text);
  if (text.trim() !== '' && seconds > 0 && seconds <= secondsMax) return seconds;
  throw new Error(`${option} is ${JSON.stringify(text)}: give seconds above 0, at most ${secondsMax}`);
}
