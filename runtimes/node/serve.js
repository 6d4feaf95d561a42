import { createServer } from 'node:http';
import { BadEvent, parseData, readEvent } from './cloudevent.js';
import { Context } from './context.js';
import { replyOf } from './reply.js';

/** @typedef {import('./load.js').Loaded} Loaded */
/** @typedef {import('./log.js').Log} Log */
/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {import('node:http').ServerResponse} ServerResponse */
/** @typedef {'auto' | 'http' | 'cloudevent'} Invoke */

const defaultBodyLimit = 16 * 1024 * 1024;

/**
 * Listens on PORT (8080), answers the health paths and calls the function for everything else. Variables:
 * FUNC_BODY_LIMIT (bytes), LIVENESS_URL and READINESS_URL (paths), FUNC_LOG_LEVEL. SIGTERM and SIGINT: no new
 * connections, the requests at work are finished, `shutdown` is called, the process ends.
 * @param {Loaded} loaded
 * @param {{ invoke: string, log: Log }} options
 */
export async function serve(loaded, { invoke, log }) {
  await loaded.init?.();
  const bodyLimit = positive(process.env.FUNC_BODY_LIMIT) ?? defaultBodyLimit;
  const probes = new Map([
    [process.env.LIVENESS_URL ?? '/health/liveness', loaded.liveness],
    [process.env.READINESS_URL ?? '/health/readiness', loaded.readiness],
  ]);
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const isProbe = probes.has(path) && (request.method === 'GET' || request.method === 'HEAD');
    const answered = isProbe
      ? probe(probes.get(path), response)
      : answer(loaded, /** @type {Invoke} */ (invoke), bodyLimit, () => !server.listening, request, response, log);
    answered.catch((error) => log.error('a reply could not be sent:', error));
  });
  const port = Number(process.env.PORT ?? process.env.FUNC_PORT ?? 8080);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve(undefined));
  });
  log.debug(`listening on port ${port}`);
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop(server, loaded, log));
}

/**
 * @param {Loaded} loaded @param {Invoke} invoke @param {number} bodyLimit @param {() => boolean} isStopping
 * @param {IncomingMessage} request @param {ServerResponse} response @param {Log} log
 */
async function answer(loaded, invoke, bodyLimit, isStopping, request, response, log) {
  let reply;
  try {
    const raw = await readBody(request, bodyLimit);
    const event = invoke === 'http' ? undefined : readEvent(request.headers, raw);
    if (invoke === 'cloudevent' && !event)
      throw new BadEvent('this function takes CloudEvents: the request holds none');
    const body = event ? event.data : raw.length === 0 ? undefined : parseBody(raw, request.headers['content-type']);
    const context = new Context(request, body, raw, event, log);
    reply = replyOf(await loaded.handle(context, event ?? body));
  } catch (error) {
    if (request.destroyed && !request.complete) return; // The caller went away before its request was whole.
    reply = failure(error, request, log);
  }
  if (response.destroyed) return;
  const hasBody = reply.status !== 204 && reply.status !== 304;
  if (hasBody) reply.headers['content-length'] ??= String(reply.body.length);
  // What is left of a body that was too long is not read: the connection cannot be used again.
  // And while the process is stopping, a connection ends with its reply.
  if (!request.complete || isStopping()) reply.headers.connection = 'close';
  response.writeHead(reply.status, reply.headers);
  response.end(hasBody && request.method !== 'HEAD' ? reply.body : undefined);
}

/** @param {(() => unknown) | undefined} check @param {ServerResponse} response */
async function probe(check, response) {
  let isWell = true;
  try {
    isWell = (await check?.()) !== false;
  } catch {
    isWell = false; // That is how a function says so.
  }
  response
    .writeHead(isWell ? 200 : 503, { 'content-type': 'text/plain; charset=utf-8' })
    .end(isWell ? 'OK' : 'not well');
}

/**
 * A body that is not what its content type says reaches an HTTP function as text: it may know better.
 * @param {Buffer} raw @param {string | undefined} contentType
 */
function parseBody(raw, contentType) {
  if (contentType?.startsWith('application/x-www-form-urlencoded'))
    return Object.fromEntries(new URLSearchParams(raw.toString('utf8')));
  return parseData(raw, contentType);
}

/**
 * What the function throws is logged with its stack and answered with its `statusCode`, or 500. The message goes out
 * only when the function chose the status: others may hold secrets.
 * @param {unknown} error @param {IncomingMessage} request @param {Log} log
 * @returns {import('./reply.js').Reply}
 */
function failure(error, request, log) {
  const chosen = /** @type {{ statusCode?: unknown } | undefined} */ (error)?.statusCode;
  const hasStatus = Number.isInteger(chosen) && Number(chosen) >= 400 && Number(chosen) <= 599;
  const status = hasStatus ? Number(chosen) : 500;
  if (error instanceof BadEvent || error instanceof TooLarge)
    log.warn(`${request.method} ${request.url}: ${error.message}`);
  else log.error(`${request.method} ${request.url}: the function threw:`, error);
  const message = hasStatus && error instanceof Error ? error.message : 'the function failed: its log says why';
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: Buffer.from(`${message}\n`) };
}

class TooLarge extends Error {
  statusCode = 413;
}

/** @param {IncomingMessage} request @param {number} limit @returns {Promise<Buffer>} */
async function readBody(request, limit) {
  const refuse = () => new TooLarge(`the body is longer than ${limit} bytes (FUNC_BODY_LIMIT)`);
  if (Number(request.headers['content-length'] ?? 0) > limit) throw refuse();
  return new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    let length = 0;
    request.on('data', (/** @type {Buffer} */ chunk) => {
      length += chunk.length;
      if (length > limit) {
        request.pause();
        reject(refuse());
      } else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', reject);
  });
}

/** @param {import('node:http').Server} server @param {Loaded} loaded @param {Log} log */
function stop(server, loaded, log) {
  server.close(async () => {
    try {
      await loaded.shutdown?.();
    } catch (error) {
      log.error('shutdown failed:', error);
      process.exitCode = 1;
    }
    process.exit();
  });
  server.closeIdleConnections();
}

/** @param {string | undefined} text */
function positive(text) {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}
