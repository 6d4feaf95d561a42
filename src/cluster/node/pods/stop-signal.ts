import { constants } from 'node:os';

/** Real-time signals have no names in Node, only numbers: those of Linux, as Docker and the OCI count them. */
const [realTimeFirst, realTimeLast] = [34, 64];
const isLinux = process.platform === 'linux';

/**
 * The number of a stop signal as an image (OCI "StopSignal") or a pod names it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`,
 * `RTMAX-1`. Undefined when this machine has no such signal.
 */
export function signalNumber(text: string): number | undefined {
  const name = text.trim().toUpperCase().replace(/^SIG/, '');
  if (/^\d+$/.test(name)) {
    const number = Number(name);
    return number >= 1 && number <= (isLinux ? realTimeLast : 31) ? number : undefined;
  }
  const [, end, sign, offset] = (isLinux && /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name)) || [];
  if (end !== undefined) {
    const number = (end === 'MIN' ? realTimeFirst : realTimeLast) + Number(`${sign ?? '+'}${offset ?? 0}`);
    return number >= realTimeFirst && number <= realTimeLast ? number : undefined;
  }
  const known: Readonly<Record<string, number>> = constants.signals;
  return Object.hasOwn(known, `SIG${name}`) ? known[`SIG${name}`] : undefined;
}
