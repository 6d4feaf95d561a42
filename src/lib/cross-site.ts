/** The headers that tell; also `IncomingHttpHeaders`. */
export interface SiteHeaders {
  host?: string | undefined;
  origin?: string | undefined;
  'sec-fetch-site'?: string | string[] | undefined;
}

/**
 * Whether a browser sent the request for a page of another site: then it is not what the user asked for, and an
 * endpoint on the user's machine must not act on it. Browsers name the site in Sec-Fetch-Site (Fetch Metadata, W3C) and
 * older ones at least in Origin; neither can be set by a page. Who sends neither is no browser, and passes.
 *
 * A page that the very same host and port served passes. Another port of one machine is another site here: whoever
 * serves a page on localhost:3000 is not who runs the platform. An opaque origin (`null`) is a stranger's.
 */
export function isCrossSite(headers: SiteHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  if (headers.origin === undefined) return false;
  // `file:` and the like have no host, which must not be equal to a Host header that is not there.
  const originHost = URL.parse(headers.origin)?.host || undefined;
  return originHost === undefined || originHost !== headers.host?.toLowerCase();
}
