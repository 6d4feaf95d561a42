/** @typedef {import('./cloudevent.js').Event} Event */
/** @typedef {import('./log.js').Log} Log */

/** What a function gets as its first argument. */
export class Context {
  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {unknown} body parsed by its content type
   * @param {Buffer} raw
   * @param {Event | undefined} event
   * @param {Log} log
   */
  constructor(request, body, raw, event, log) {
    const url = urlOf(request.url ?? '/');
    /** The request of node:http. */
    this.req = request;
    this.log = log;
    this.method = request.method ?? 'GET';
    this.path = url.pathname;
    this.query = Object.fromEntries(url.searchParams);
    this.headers = { ...request.headers };
    this.httpVersion = request.httpVersion;
    this.httpVersionMajor = request.httpVersionMajor;
    this.httpVersionMinor = request.httpVersionMinor;
    this.contentType = request.headers['content-type'];
    this.body = body;
    this.rawBody = raw;
    this.cloudevent = event;
  }

  /**
   * Begins an event as a reply: `context.cloudEventResponse(data).type('…').source('…').response()`.
   * @param {unknown} data
   */
  cloudEventResponse(data) {
    return new EventResponse(data);
  }
}

/** A request whose target is no URL, such as `http://[`: 400. */
export class BadTarget extends Error {
  statusCode = 400;
}

/** A target that begins with `//` is a path like any other, not a host. @param {string} target */
function urlOf(target) {
  try {
    return new URL(target.startsWith('/') ? `http://localhost${target}` : target, 'http://localhost');
  } catch {
    throw new BadTarget(`the target ${JSON.stringify(target)} is no URL`);
  }
}

class EventResponse {
  /** @type {Record<string, unknown>} */
  #event;

  /** @param {unknown} data */
  constructor(data) {
    this.#event = { specversion: '1.0', data };
  }

  /** @param {string} id */
  id(id) {
    this.#event.id = id;
    return this;
  }

  /** @param {string} source */
  source(source) {
    this.#event.source = source;
    return this;
  }

  /** @param {string} type */
  type(type) {
    this.#event.type = type;
    return this;
  }

  /** @param {string} version */
  version(version) {
    this.#event.specversion = version;
    return this;
  }

  response() {
    return { id: globalThis.crypto.randomUUID(), ...this.#event };
  }
}
