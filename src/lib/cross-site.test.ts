import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCrossSite, type SiteHeaders } from './cross-site.ts';

const host = 'localhost:8081';

test('a request that a page of another site had the browser send is told from all others', () => {
  const table: [headers: SiteHeaders, expected: boolean, why: string][] = [
    [{ host }, false, 'no browser'],
    [{}, false, 'no browser, and HTTP/1.0'],
    [{ host, 'sec-fetch-site': 'none' }, false, 'the user typed it'],
    [{ host, 'sec-fetch-site': 'same-origin', origin: 'http://localhost:8081' }, false, 'its own page'],
    [{ host: 'inner:80', 'sec-fetch-site': 'same-origin', origin: 'https://outer.test' }, false, 'behind a proxy'],
    [{ host, 'sec-fetch-site': 'same-site', origin: 'http://localhost:3000' }, true, 'another port'],
    [{ host, 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }, true, 'another site'],
    [{ host, 'sec-fetch-site': 'cross-site' }, true, 'another site, without Origin'],
    [{ host, 'sec-fetch-site': 'same-origin, cross-site' }, true, 'two values'],
    [{ host, 'sec-fetch-site': '' }, true, 'a value that is none'],
    [{ host, origin: 'http://localhost:8081' }, false, 'an older browser, its own page'],
    [{ host: 'LocalHost:8081', origin: 'http://localhost:8081' }, false, 'names have no case'],
    [{ host: 'a.test', origin: 'https://a.test' }, false, 'the port of the scheme is not written'],
    [{ host, origin: 'http://localhost:3000' }, true, 'an older browser, another port'],
    [{ host, origin: 'http://evil.test' }, true, 'an older browser, another site'],
    [{ host, origin: 'null' }, true, 'a sandboxed page or a local file'],
    [{ host, origin: '' }, true, 'an origin that is none'],
    [{ host: '', origin: 'file://' }, true, 'a local file'],
    [{ origin: 'null' }, true, 'an origin that is none, and no host'],
    [{ origin: 'http://evil.test' }, true, 'a browser always names the host'],
  ];
  for (const [headers, expected, why] of table) assert.equal(isCrossSite(headers), expected, why);
});
