import { createServer } from 'node:http';
import { BadEvent, parseData, readEvent } from './cloudevent.js';
import { BadTarget, Context } from './context.js';
import { replyOf } from './reply.js';

/** @typedef {import('./load.js').Loaded} Loaded */
/** @typedef {import('./log.js').Log} Log */
/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {import('node:http').ServerResponse} ServerResponse */
/** @typedef {'auto' | 'http' | 'cloudevent'} Invoke */

const defaultBodyLimit = 16 * 1024 * 1024;
/** How much of a body that was refused is read and forgotten, and for how long, so that its sender reads why. */
const forgottenBytesMax = 256 * 1024 * 1024;
const forgottenMs = 60_000;
/** Headers of one connection (RFC 9110 §7.6.1): a function that passes on what it got elsewhere cannot mean ours. */
const connectionHeaders = ['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'];

/**
 * Listens on PORT (8080), answers the health paths and calls the function for everything else. Variables:
 * FUNC_BODY_LIMIT (bytes), LIVENESS_URL and READINESS_URL (paths), FUNC_LOG_LEVEL. SIGTERM and SIGINT: no new
 * connections, the requests at work are finished, `shutdown` is called, the process ends.
 *
 * What a function throws or returns for one request is the failure of that request: 500, and the reason in the log. A
 * rejection that nobody handles is said in the log, and the process goes on: the requests of others are at work in it.
 * An exception outside of any promise ends it, as Node advises, for nobody knows what was left half done: the requests
 * at work are answered 500, and the exit code is 1.
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
  /** @type {Set<ServerResponse>} */
  const atWork = new Set();
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    const isProbe = probes.has(path) && (request.method === 'GET' || request.method === 'HEAD');
    if (!isProbe) {
      atWork.add(response);
      response.on('close', () => atWork.delete(response));
    }
    const answered = isProbe
      ? probe(probes.get(path), response)
      : answer(loaded, /** @type {Invoke} */ (invoke), bodyLimit, () => !server.listening, request, response, log);
    answered.catch((error) => {
      log.error('a reply could not be sent:', error);
      response.destroy();
    });
  });
  server.on('checkContinue', (request, response) => {
    // Who asks before it sends a body that is too long is answered without it.
    if (Number(request.headers['content-length'] ?? 0) <= bodyLimit) response.writeContinue();
    else response.setHeader('connection', 'close');
    server.emit('request', request, response);
  });
  failLoudly(server, atWork, log);
  const port = Number(process.env.PORT ?? process.env.FUNC_PORT ?? 8080);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, () => resolve(undefined));
  });
  server.on('error', (error) => log.error('a connection could not be accepted:', error));
  log.debug(`listening on port ${port}`);
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop(server, loaded, log));
}

/**
 * @param {Loaded} loaded @param {Invoke} invoke @param {number} bodyLimit @param {() => boolean} isStopping
 * @param {IncomingMessage} request @param {ServerResponse} response @param {Log} log
 */
async function answer(loaded, invoke, bodyLimit, isStopping, request, response, log) {
  try {
    const raw = await readBody(request, bodyLimit);
    const event = invoke === 'http' ? undefined : readEvent(request.headers, raw);
    if (invoke === 'cloudevent' && !event)
      throw new BadEvent('this function takes CloudEvents: the request holds none');
    const body = event ? event.data : raw.length === 0 ? undefined : parseBody(raw, request.headers['content-type']);
    const context = new Context(request, body, raw, event, log);
    const reply = replyOf(await loaded.handle(context, event ?? body));
    writeHead(reply, isStopping, request, response);
    response.end(hasBody(reply, request) ? reply.body : undefined);
  } catch (error) {
    if (request.destroyed && !request.complete) return; // The caller went away before its request was whole.
    const reply = failure(error, request, log);
    writeHead(reply, isStopping, request, response);
    response.write(hasBody(reply, request) ? reply.body : '');
    // Closing on a caller that still sends would take the reply from it: the rest is read first, and forgotten.
    if (!request.complete && !response.hasHeader('connection')) await forget(request);
    response.end();
  }
}

/**
 * Throws when a header is not one.
 * @param {import('./reply.js').Reply} reply @param {() => boolean} isStopping
 * @param {IncomingMessage} request @param {ServerResponse} response
 */
function writeHead({ status, headers, body }, isStopping, request, response) {
  if (response.destroyed || response.headersSent) return;
  for (const name of connectionHeaders) delete headers[name];
  // The length is that of the body, whatever the function says; where there is none, it tells of another reply's.
  if (hasBody({ status }, request)) headers['content-length'] = String(body.length);
  else if (request.method === 'HEAD' && status !== 204) headers['content-length'] ??= String(body.length);
  // While the process is stopping, a connection ends with its reply.
  if (isStopping()) headers.connection = 'close';
  response.writeHead(status, headers);
}

/** @param {{ status: number }} reply @param {IncomingMessage} request */
function hasBody({ status }, request) {
  return status !== 204 && status !== 304 && request.method !== 'HEAD';
}

/**
 * Reads the rest of a body and forgets it; who sends without an end is cut off.
 * @param {IncomingMessage} request @returns {Promise<void>}
 */
function forget(request) {
  return new Promise((resolve) => {
    let length = 0;
    const timer = setTimeout(() => request.destroy(), forgottenMs);
    request.on('data', (/** @type {Buffer} */ chunk) => {
      length += chunk.length;
      if (length > forgottenBytesMax) request.destroy();
    });
    for (const event of ['end', 'error', 'close'])
      request.on(event, () => {
        clearTimeout(timer);
        resolve();
      });
    request.resume();
  });
}

/** @param {import('node:http').Server} server @param {Set<ServerResponse>} atWork @param {Log} log */
function failLoudly(server, atWork, log) {
  process.on('unhandledRejection', (reason) => {
    log.error('a rejection that the function does not handle:', reason);
  });
  process.on('uncaughtException', (error) => {
    log.fatal('an exception that the function does not catch:', error);
    server.close();
    const replies = [...atWork].filter((response) => !response.headersSent && !response.destroyed);
    const body = 'the function failed: its log says why\n';
    const sent = replies.map(
      (response) =>
        new Promise((resolve) => {
          response.on('close', resolve);
          response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(body);
        }),
    );
    Promise.race([Promise.allSettled(sent), new Promise((resolve) => setTimeout(resolve, 1000))]).then(
      () => process.exit(1),
      () => process.exit(1),
    );
  });
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

/** A form is an object of its fields. @param {Buffer} raw @param {string | undefined} contentType */
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
  const { status, message, isOurs } = said(error);
  if (isOurs) log.warn(`${request.method} ${request.url}: ${message}`);
  else log.error(`${request.method} ${request.url}: the function threw:`, error);
  const text = message ?? 'the function failed: its log says why';
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: Buffer.from(`${text}\n`) };
}

/**
 * What may be answered of anything thrown; it may be a proxy, or have getters that throw themselves.
 * @param {unknown} error @returns {{ status: number, message?: string, isOurs?: boolean }}
 */
function said(error) {
  try {
    const chosen = /** @type {{ statusCode?: unknown } | undefined} */ (error)?.statusCode;
    if (!Number.isInteger(chosen) || Number(chosen) < 400 || Number(chosen) > 599 || !(error instanceof Error))
      return { status: 500 };
    const isOurs = [BadEvent, BadTarget, TooLarge].some((kind) => error instanceof kind);
    return { status: Number(chosen), message: String(error.message), isOurs };
  } catch {
    return { status: 500 }; // It cannot even be asked.
  }
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
    let chunks = [];
    let length = 0;
    const onData = (/** @type {Buffer} */ chunk) => {
      length += chunk.length;
      if (length <= limit) {
        chunks.push(chunk);
        return;
      }
      chunks = [];
      request.off('data', onData);
      reject(refuse());
    };
    request.on('data', onData);
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
