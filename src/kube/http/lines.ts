import { StringDecoder } from 'node:string_decoder';

/** A watch event larger than this is not an object that a server would store. */
const lineMaxChars = 16 << 20;

/**
 * The lines of a byte stream, without their ends and without empty ones; what follows the last end is a line too.
 * Throws when a line is too long.
 */
export async function* lines(chunks: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  // Parts of a line that has not ended: joined once, or a line that drips in would be copied for each drop.
  let parts: string[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const text = decoder.write(chunk as Buffer);
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const line = parts.join('') + text.slice(start, end);
      parts = [];
      length = 0;
      start = end + 1;
      if (line !== '') yield line;
    }
    if (start < text.length) parts.push(text.slice(start));
    length += text.length - start;
    if (length > lineMaxChars) throw new Error(`a line of the stream is longer than ${lineMaxChars} characters`);
  }
  const rest = parts.join('') + decoder.end();
  if (rest !== '') yield rest;
}
