import { isIP } from 'node:net';
import { type FieldError, fieldInvalid, fieldRequired } from '../field-error.ts';
import { dnsSubdomainRule, isDnsSubdomain } from '../names.ts';
import type { PodSpec } from './pod-spec.ts';

const nameserversMax = 3;
const searchesMax = 32;
const searchCharactersMax = 2048;

/** What Kubernetes has against how a pod wants names resolved; `at` is the spec's path. */
export function validateDns({ dnsConfig, dnsPolicy }: PodSpec, at: string): FieldError[] {
  const path = `${at}.dnsConfig`;
  if (dnsPolicy === 'None') {
    const why = 'when `dnsPolicy` is None';
    if (!dnsConfig) return [fieldRequired(path, `must provide \`dnsConfig\` ${why}`)];
    if (!dnsConfig.nameservers?.length) {
      return [fieldRequired(`${path}.nameservers`, `must provide at least one DNS nameserver ${why}`)];
    }
  }
  const errors: FieldError[] = [];
  const { nameservers = [], options = [], searches = [] } = dnsConfig ?? {};
  if (nameservers.length > nameserversMax) {
    const why = `must not have more than ${nameserversMax} nameservers`;
    errors.push(fieldInvalid(`${path}.nameservers`, nameservers, why));
  }
  nameservers.forEach((address, i) => {
    const why = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
    if (isIP(address) === 0) errors.push(fieldInvalid(`${path}.nameservers[${i}]`, address, why));
  });
  if (searches.length > searchesMax) {
    errors.push(fieldInvalid(`${path}.searches`, searches, `must not have more than ${searchesMax} search paths`));
  }
  if (searches.join(' ').length > searchCharactersMax) {
    const why = `must not have more than ${searchCharactersMax} characters (including spaces) in the search list`;
    errors.push(fieldInvalid(`${path}.searches`, searches, why));
  }
  searches.forEach((search, i) => {
    // Underscores are of DNS, though not of Kubernetes' names.
    if (search === '.' || isDnsSubdomain(search.replace(/\.$/, '').replaceAll('_', '-'))) return;
    errors.push(fieldInvalid(`${path}.searches[${i}]`, search, dnsSubdomainRule));
  });
  options.forEach(({ name }, i) => {
    if (!name) errors.push(fieldRequired(`${path}.options[${i}]`, 'must not be empty'));
  });
  return errors;
}
