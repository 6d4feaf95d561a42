import { StringDecoder } from 'node:string_decoder';

/** A watch event larger than this is not an object that a server would store. */
const lineMaxChars = 16 << 20;

/** The lines of a byte stream, without their ends and without empty ones; what follows the last end is a line too. */
export async function* lines(chunks: AsyncIterable<unknown>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.write(chunk as Buffer);
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      if (end > start) yield rest.slice(start, end);
      start = end + 1;
    }
    rest = rest.slice(start);
    if (rest.length > lineMaxChars) throw new Error(`a line of the stream is longer than ${lineMaxChars} characters`);
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}
