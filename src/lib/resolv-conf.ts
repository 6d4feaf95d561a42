/** What a resolv.conf says (resolv.conf(5)). */
export interface ResolvConf {
  /** Addresses; a link-local one may name its interface: `fe80::1%eth0`. */
  nameservers: string[];
  searches: string[];
  /** For example `ndots:5`. */
  options: string[];
}

const textMax = 64 * 1024;

/** Lines of `nameserver` and `options` add up; of `search` and `domain` the last counts. All else is left out. */
export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { nameservers: [], searches: [], options: [] };
  for (const line of text.slice(0, textMax).split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) conf.nameservers.push(values[0]);
    else if (keyword === 'search') conf.searches = values.flatMap(searchPath);
    else if (keyword === 'domain') conf.searches = values.slice(0, 1).flatMap(searchPath);
    else if (keyword === 'options') conf.options = mergeOptions(conf.options, values);
  }
  return conf;
}

/** The last of each name counts. */
export function mergeOptions(options: readonly string[], more: readonly string[]): string[] {
  const byName = new Map([...options, ...more].map((option) => [option.split(':')[0], option]));
  return [...byName.values()];
}

/** The same domain with and without its last dot is one; the root alone is none to search in. */
const searchPath = (path: string) => (path === '.' ? [] : [path.replace(/\.$/, '')]);
