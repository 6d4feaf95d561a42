/** What all commands say in the same way. Results go to standard output, all else to standard error. */
import { KittiwakeError, messageOf } from '../lib/errors.ts';

// One answer for both streams: what goes to a file or a pipe holds no colours.
const isColoured = process.stdout.isTTY && process.stderr.isTTY && !process.env.NO_COLOR;
const paint = (code: number) => (text: string) => (isColoured ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = paint(1);
export const dim = paint(2);
export const green = paint(32);
export const red = paint(31);

/** One line of result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One line of progress. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** An error that a person can act on: the message says it all, so there is no stack. */
export function printError(error: unknown): void {
  if (process.env.KITTIWAKE_DEBUG !== undefined && error instanceof Error) say(error.stack ?? '');
  const code = error instanceof KittiwakeError ? dim(` (${error.code})`) : '';
  say(`${red('error:')} ${messageOf(error)}${code}`);
}

/** `840 ms`, `1.24 s`. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** Columns padded to their widest cell. */
export function printTable(rows: readonly string[][]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows)
    print(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('   ')
        .trimEnd(),
    );
}
