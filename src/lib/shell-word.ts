/** The text as one word of a POSIX shell, to be pasted: in single quotes, where nothing is expanded. */
export function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
