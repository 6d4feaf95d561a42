const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Whether sending a request of `method` twice does what sending it once does (RFC 9110 §9.2.2). */
export const isIdempotent = (method: string): boolean => idempotent.has(method);
