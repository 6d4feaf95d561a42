import { type Ipv4Block, ipv4Number, isInBlock } from '../../lib/ipv4.ts';
import { validateSelector } from '../apps/pod-template.ts';
import { protocols } from '../core/container.ts';
import { type FieldError, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { type KubeObject, type LabelSelector, labelSelectorSchema } from '../meta.ts';
import { isDnsLabel } from '../names.ts';
import { atomicList, integer, intOrString, object, string, type ValueOf } from '../schema.ts';

export const policyTypes = ['Ingress', 'Egress'] as const;

const portSchema = object({
  protocol: string({ enum: protocols }),
  /** A number, or the name of a container port; all ports unless given. */
  port: intOrString(),
  /** With a number: all ports from there to here. */
  endPort: integer({ format: 'int32' }),
});

const peerSchema = object({
  podSelector: labelSelectorSchema,
  namespaceSelector: labelSelectorSchema,
  ipBlock: object({ cidr: string(), except: atomicList(string()) }, { required: ['cidr'] }),
});

export interface NetworkPolicyPort extends ValueOf<typeof portSchema> {}
export interface NetworkPolicyPeer extends ValueOf<typeof peerSchema> {}

const networkPolicySchema = object(
  {
    spec: object({
      podSelector: labelSelectorSchema,
      policyTypes: atomicList(string({ enum: policyTypes })),
      ingress: atomicList(object({ ports: atomicList(portSchema), from: atomicList(peerSchema) })),
      egress: atomicList(object({ ports: atomicList(portSchema), to: atomicList(peerSchema) })),
    }),
  },
  { present: ['spec'] },
);

/** Which connections the pods of a namespace may have: those that no policy selects for a direction, all. */
export interface NetworkPolicy extends KubeObject, ValueOf<typeof networkPolicySchema> {}

export const NetworkPolicyKind = defineKind<NetworkPolicy>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  shortNames: ['netpol'],
  hasStatus: false,
  schema: networkPolicySchema,
  columns: [{ name: 'Pod-Selector', type: 'string', jsonPath: '.spec.podSelector' }],
  setDefaults(policy) {
    policy.spec ??= { podSelector: {} };
    const { spec } = policy;
    spec.podSelector ??= {};
    if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of rule.ports ?? []) port.protocol ??= 'TCP';
    }
  },
  validate({ spec }) {
    const errors = selectorErrors(spec.podSelector, 'spec.podSelector');
    if ((spec.policyTypes?.length ?? 0) > policyTypes.length) {
      errors.push(fieldInvalid('spec.policyTypes', spec.policyTypes, 'may not specify more than two policyTypes'));
    }
    spec.policyTypes?.forEach((type, i) => {
      if (!policyTypes.includes(type)) errors.push(fieldNotSupported(`spec.policyTypes[${i}]`, type, policyTypes));
    });
    spec.ingress?.forEach(({ ports, from }, i) => {
      errors.push(...portErrors(ports, `spec.ingress[${i}].ports`), ...peerErrors(from, `spec.ingress[${i}].from`));
    });
    spec.egress?.forEach(({ ports, to }, i) => {
      errors.push(...portErrors(ports, `spec.egress[${i}].ports`), ...peerErrors(to, `spec.egress[${i}].to`));
    });
    return errors;
  },
});

/** An empty one selects all, and is as good as any. */
function selectorErrors(selector: LabelSelector | undefined, at: string): FieldError[] {
  const isEmpty = !Object.keys(selector?.matchLabels ?? {}).length && !selector?.matchExpressions?.length;
  return isEmpty ? [] : validateSelector(selector, at);
}

function portErrors(ports: readonly NetworkPolicyPort[] = [], at: string): FieldError[] {
  return ports.flatMap(({ port, endPort, protocol }, i): FieldError[] => {
    const errors: FieldError[] = [];
    if (protocol !== undefined && !protocols.includes(protocol)) {
      errors.push(fieldNotSupported(`${at}[${i}].protocol`, protocol, protocols));
    }
    if (typeof port === 'number' && !isPort(port)) errors.push(fieldInvalid(`${at}[${i}].port`, port, portRule));
    if (typeof port === 'string' && !(isDnsLabel(port) && port.length <= 15 && /[a-z]/.test(port))) {
      errors.push(fieldInvalid(`${at}[${i}].port`, port, 'must be a port name of at most 15 characters'));
    }
    if (endPort === undefined) return errors;
    const field = `${at}[${i}].endPort`;
    if (port === undefined) errors.push(fieldRequired(`${at}[${i}].port`, 'must be specified when `endPort` is'));
    else if (typeof port === 'string')
      errors.push(fieldInvalid(field, endPort, 'may not be specified with a named port'));
    else if (endPort < port) errors.push(fieldInvalid(field, endPort, 'must be greater than or equal to `port`'));
    else if (!isPort(endPort)) errors.push(fieldInvalid(field, endPort, portRule));
    return errors;
  });
}

function peerErrors(peers: readonly NetworkPolicyPeer[] = [], at: string): FieldError[] {
  return peers.flatMap(({ podSelector, namespaceSelector, ipBlock }, i): FieldError[] => {
    const path = `${at}[${i}]`;
    if (ipBlock) {
      if (podSelector || namespaceSelector)
        return [fieldForbidden(path, 'may not specify both ipBlock and another peer')];
      return blockErrors(ipBlock, `${path}.ipBlock`);
    }
    if (!podSelector && !namespaceSelector) return [fieldRequired(path, 'must specify a peer')];
    return [
      ...selectorErrors(podSelector, `${path}.podSelector`),
      ...selectorErrors(namespaceSelector, `${path}.namespaceSelector`),
    ];
  });
}

function blockErrors({ cidr, except = [] }: NonNullable<NetworkPolicyPeer['ipBlock']>, at: string): FieldError[] {
  const block = policyBlock(cidr);
  // What is of IPv6 concerns no packet here, and is nothing wrong.
  if (!block) return cidr.includes(':') ? [] : [fieldInvalid(`${at}.cidr`, cidr, cidrRule)];
  return except.flatMap((each, i) => {
    const inner = policyBlock(each);
    if (!inner) return [fieldInvalid(`${at}.except[${i}]`, each, cidrRule)];
    const isWithin = isInBlock(block, each.split('/')[0] ?? '') && inner.size < block.size;
    return isWithin ? [] : [fieldInvalid(`${at}.except[${i}]`, each, `must be a strict subset of \`cidr\` (${cidr})`)];
  });
}

/** Kubernetes takes any address of a block for it: `10.0.0.5/8` is `10.0.0.0/8`. Undefined for what is none of IPv4. */
export function policyBlock(cidr: string): Ipv4Block | undefined {
  const [address = '', prefix = '', ...more] = cidr.split('/');
  const number = ipv4Number(address);
  if (number === undefined || more.length > 0 || !/^(\d|[12]\d|3[0-2])$/.test(prefix)) return undefined;
  const size = 2 ** (32 - Number(prefix));
  return { base: number - (number % size), size };
}

const isPort = (port: number) => port >= 1 && port <= 65_535;
const portRule = 'must be between 1 and 65535, inclusive';
const cidrRule = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
