/** Takes credentials out of a text that somebody else reads: a status, a log, an error. */
export type Redact = (text: string) => string;

/** `https://name:password@host`: what stands before the host is nobody's to read. */
const userinfo = /:\/\/[^\s/@'"<>]{1,2000}@/g;
const hidden = '***';

/**
 * Hides what stands before the host of any address, and the password of `url` wherever a tool repeats it, as it was
 * given or decoded.
 */
export function redactFor(url: string | undefined): Redact {
  const secrets = secretsOf(url ?? '');
  return (text) => {
    let found = text;
    for (const secret of secrets) found = found.replaceAll(secret, hidden);
    return found.replace(userinfo, `://${hidden}@`);
  };
}

/** The longest first: a part of one must not be replaced before the whole. */
function secretsOf(url: string): string[] {
  // Up to the last @ of all: a password may hold the characters that ought to be encoded in it.
  const match = /^[a-z][a-z0-9+.-]*:\/\/(.*)@/is.exec(url);
  const before = match?.[1];
  if (before === undefined) return [];
  const password = before.slice(before.indexOf(':') + 1);
  const all = [before, password].flatMap((text) => [text, decoded(text), encodeURIComponent(decoded(text))]);
  // A password of one or two letters would take them out of every word.
  return [...new Set(all)].filter((text) => text.length > 2).sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // It is not encoded.
  }
}
