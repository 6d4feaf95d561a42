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
  process.stdout.write(`${process.stdout.isTTY ? harmless(line) : line}\n`);
}

/** One line of progress. */
export function say(line: string): void {
  process.stderr.write(`${process.stderr.isTTY ? harmless(line) : line}\n`);
}

/**
 * What is safe to show on a terminal. Names, messages and logs are anybody's: as control characters they could move the
 * cursor over what was said before, retitle the window or type answers. They are shown as `^[`, the way `cat -v` does;
 * line ends, tabs and the colours that this program uses stay.
 */
export function harmless(text: string): string {
  return text.replace(unsafe, (found) => {
    if (found === '\r\n' || found === '\n' || found === '\t') return found;
    return found.startsWith('\u001b[') ? found : caret(found.charCodeAt(0)) + found.slice(1);
  });
}

/** Control characters, with what makes a colour of ours of one, and those that turn the direction of what follows. */
const unsafe = /\r\n|\p{Cc}(?:\[(?:0|1|2|31|32)m)?|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

function caret(code: number): string {
  if (code < 0x20 || code === 0x7f) return `^${String.fromCharCode(code ^ 0x40)}`;
  return `\\u${code.toString(16).padStart(4, '0')}`;
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

/** Columns padded to their widest cell; a row is a line, whatever its cells hold. */
export function printTable(table: readonly string[][]): void {
  const rows = table.map((row) => row.map((cell) => cell.replaceAll(/\s*[\r\n]+\s*/g, ' ')));
  const widths =
    rows[0]?.map((_, column) => rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0)) ?? [];
  for (const row of rows)
    print(
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('   ')
        .trimEnd(),
    );
}
