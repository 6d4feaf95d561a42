import { isJsonObject } from '../../lib/json-object.ts';
import { parseYaml } from '../../lib/yaml.ts';
import { type ConfigReader, configReader } from './config-map.ts';

export const domainConfigName = 'config-domain';

/** Domains and the labels that a Route must have to be under each; the one without labels is for all others. */
export interface DomainConfig {
  domains: readonly { domain: string; selector: Readonly<Record<string, string>> }[];
}

export function domainConfigReader(defaultDomain: string): ConfigReader<DomainConfig> {
  return configReader(domainConfigName, (data) => parseDomainConfig(data, defaultDomain));
}

/** `config-domain`: each key is a domain, its value empty or YAML `selector: {label: value}`; throws otherwise. */
export function parseDomainConfig(data: Record<string, string>, defaultDomain: string): DomainConfig {
  const domains = Object.entries(data)
    .filter(([domain]) => domain !== '_example')
    .map(([domain, text]) => ({ domain, selector: parseSelector(domain, text) }));
  return { domains: domains.length > 0 ? domains : [{ domain: defaultDomain, selector: {} }] };
}

/** The domain whose selector matches with the most labels; the default is of no domain, as then nothing is public. */
export function domainFor(config: DomainConfig, labels: Record<string, string> | undefined): string | undefined {
  let best: { domain: string; size: number } | undefined;
  for (const { domain, selector } of config.domains) {
    const entries = Object.entries(selector);
    const isMatch = entries.every(([key, value]) => labels?.[key] === value);
    if (isMatch && (!best || entries.length > best.size)) best = { domain, size: entries.length };
  }
  return best?.domain;
}

function parseSelector(domain: string, text: string): Record<string, string> {
  const [document, ...more] = parseYaml(text, domain);
  const value = document === undefined ? {} : document.value;
  const selector = isJsonObject(value) && more.length === 0 ? (value.selector ?? {}) : undefined;
  if (!isJsonObject(selector)) throw new Error(`${domain}: expected nothing, or "selector" with labels`);
  return Object.fromEntries(Object.entries(selector).map(([key, label]) => [key, labelOf(domain, key, label)]));
}

/** What is nested is refused rather than written out: with aliases, a short text may be more than there is memory. */
function labelOf(domain: string, key: string, value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new Error(`${domain}: the label ${key} of "selector" must be a text`);
}
