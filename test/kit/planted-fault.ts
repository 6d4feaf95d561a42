/**
 * Loaded into every process of a platform by NODE_OPTIONS: as long as the file PLANTED_FAULT is there, events,
 * requests, images and builds whose name has the word in it end or hang their process, as an unknown defect of ours
 * would.
 */
import { existsSync, readFileSync } from 'node:fs';

const file = process.env.PLANTED_FAULT ?? '';
const role = process.env.KITTIWAKE_ROLE === undefined ? undefined : process.argv[2];

/** `name` says what is to happen. Whether anything did. */
function strike(name: string): boolean {
  if (!existsSync(file) || !name.includes(readFileSync(file, 'utf8'))) return false;
  if (name.includes('crash')) void Promise.reject(new Error('planted: nobody catches this'));
  if (name.includes('abort')) process.abort();
  if (name.includes('hang')) for (;;);
  return name.includes('crash');
}

if (role === 'broker') {
  const { Poster } = await import('../../src/eventing/poster.ts');
  const { post } = Poster.prototype;
  Poster.prototype.post = function (target, headers, ...rest) {
    if (strike(headers[headers.indexOf('ce-id') + 1] ?? '')) return new Promise(() => {});
    return post.call(this, target, headers, ...rest);
  };
}
if (role === 'gateway') {
  const { Router } = await import('../../src/gateway/router.ts');
  const { routesOf } = Router.prototype;
  Router.prototype.routesOf = function (host) {
    strike(host);
    return routesOf.call(this, host);
  };
}
if (role === 'control') {
  const { RegistryClient } = await import('../../src/registry/index.ts');
  const { resolve } = RegistryClient.prototype;
  RegistryClient.prototype.resolve = function (target, ...rest) {
    strike(String(target));
    return resolve.call(this, target, ...rest);
  };
}
if (process.argv[1]?.endsWith('/build/worker/main.ts')) {
  const { RegistryClient } = await import('../../src/registry/index.ts');
  const { push } = RegistryClient.prototype;
  RegistryClient.prototype.push = function (target, ...rest) {
    if (strike(JSON.stringify(target))) return new Promise(() => {});
    return push.call(this, target, ...rest);
  };
}
