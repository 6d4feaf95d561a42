/** RFC 1123 label: at most 63 of a-z, 0-9 and '-', beginning and ending with an alphanumeric. */
export const isDnsLabel = (text: string): boolean => text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text);

/** RFC 1035 label: as a DNS label, but it begins with a letter (names of core Services). */
export const isDnsLabel1035 = (text: string): boolean => text.length <= 63 && /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(text);

/** RFC 1123 subdomain: labels joined by dots, at most 253 characters (the name of most objects). */
export const isDnsSubdomain = (text: string): boolean => text.length <= 253 && dnsSubdomain.test(text);
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** A name that is any one segment of a path (names of roles and their bindings: `system:node`). */
export const isPathName = (text: string): boolean => text !== '.' && text !== '..' && !/[/%]/.test(text);
export const pathNameRule = "may not be '.' or '..', and may not contain '/' or '%'";

/** The key of a label, annotation or condition: a DNS subdomain and '/' or not, then up to 63 of A-Z a-z 0-9 - _ . */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf('/');
  const name = text.slice(slash + 1);
  if (slash >= 0 && !isDnsSubdomain(text.slice(0, slash))) return false;
  return name.length <= 63 && /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name);
}

/** The value of a label: empty, or at most 63 of A-Z a-z 0-9 - _ . */
export const isLabelValue = (text: string): boolean =>
  text === '' || (text.length <= 63 && /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(text));

/** The name of a container or Service port: at most 15 of a-z, 0-9 and '-', with a letter, no '--'. */
export const isPortName = (text: string): boolean =>
  text.length <= 15 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text) && /[a-z]/.test(text) && !text.includes('--');

/** Of generated names, as Kubernetes has it: no vowels, so no words; none that look alike. */
export const generatedAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** The name of an environment variable: printable ASCII without '='. */
export const isEnvVarName = (text: string): boolean => /^[ -<>-~]+$/.test(text);

/** The key of a ConfigMap or Secret: at most 253 of A-Z a-z 0-9 - _ . and neither '.' nor '..…'. */
export const isConfigKey = (text: string): boolean =>
  text.length <= 253 && /^[-._a-zA-Z0-9]+$/.test(text) && text !== '.' && !text.startsWith('..');

export const dnsLabelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
  "an alphanumeric character (e.g. 'my-name', or '123-abc'), at most 63 characters";
export const dnsLabel1035Rule =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, " +
  "and end with an alphanumeric character (e.g. 'my-name', or 'abc-123'), at most 63 characters";
export const dnsSubdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and " +
  "end with an alphanumeric character (e.g. 'example.com'), at most 253 characters";

/** What of RFC 1123 a text breaks as a subdomain, in the words of Kubernetes' IsDNS1123Subdomain. */
export function dnsSubdomainFaults(text: string): string[] {
  const faults: string[] = [];
  if (text.length > 253) faults.push('must be no more than 253 characters');
  if (!dnsSubdomain.test(text)) faults.push(dnsSubdomainWords);
  return faults;
}

const dnsSubdomainWords =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and " +
  "end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/** What all names of the cluster end with. */
export const dnsDomain = 'cluster.local';

/** What the names of Services end with inside the cluster: `NAME.NAMESPACE.svc.cluster.local`. */
export const clusterDomain = `svc.${dnsDomain}`;
