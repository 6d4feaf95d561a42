import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noConfiguration } from '../kind.ts';
import { type NetworkPolicy, NetworkPolicyKind } from './network-policy.ts';

const policy = (spec: NetworkPolicy['spec']): NetworkPolicy => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'p', namespace: 'n' },
  spec,
});

const errorsOf = (spec: NetworkPolicy['spec']) =>
  (NetworkPolicyKind.validate?.(policy(spec), { config: noConfiguration }) ?? []).map(
    ({ field, message }) => `${field}: ${message}`,
  );

test('a policy is about ingress, and about egress when it has rules for it, unless it says', () => {
  const defaulted = (spec: NetworkPolicy['spec']) => {
    const made = policy(spec);
    NetworkPolicyKind.setDefaults?.(made, { config: noConfiguration });
    return made.spec;
  };
  assert.deepEqual(defaulted({}), { podSelector: {}, policyTypes: ['Ingress'] });
  assert.deepEqual(defaulted({ egress: [{}] }).policyTypes, ['Ingress', 'Egress']);
  assert.deepEqual(defaulted({ policyTypes: ['Egress'] }).policyTypes, ['Egress']);
  assert.equal(defaulted({ ingress: [{ ports: [{ port: 80 }] }] }).ingress?.[0]?.ports?.[0]?.protocol, 'TCP');
});

test('what a policy cannot say is refused in Kubernetes’ words', () => {
  assert.deepEqual(errorsOf({ podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }), []);
  const ports = [
    { port: 0 },
    { port: 'Not a name' },
    { endPort: 90 },
    { port: 'web', endPort: 90 },
    { port: 80, endPort: 70 },
  ];
  assert.deepEqual(
    errorsOf({ ingress: [{ ports }] }).map((error) => error.split(': ')[0]),
    ['port', 'port', 'port', 'endPort', 'endPort'].map((field, i) => `spec.ingress[0].ports[${i}].${field}`),
  );
  assert.deepEqual(
    errorsOf({
      egress: [
        {
          to: [
            {},
            { podSelector: {}, ipBlock: { cidr: '10.0.0.0/8' } },
            { ipBlock: { cidr: '10.0.0.0/33' } },
            { ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.0/8', '11.0.0.0/16', 'x'] } },
            { ipBlock: { cidr: 'fd00::/8' } },
          ],
        },
      ],
    }),
    [
      'spec.egress[0].to[0]: Required value: must specify a peer',
      'spec.egress[0].to[1]: Forbidden: may not specify both ipBlock and another peer',
      'spec.egress[0].to[2].ipBlock.cidr: Invalid value: "10.0.0.0/33": ' +
        'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
      'spec.egress[0].to[3].ipBlock.except[0]: Invalid value: "10.0.0.0/8": ' +
        'must be a strict subset of `cidr` (10.0.0.0/8)',
      'spec.egress[0].to[3].ipBlock.except[1]: Invalid value: "11.0.0.0/16": ' +
        'must be a strict subset of `cidr` (10.0.0.0/8)',
      'spec.egress[0].to[3].ipBlock.except[2]: Invalid value: "x": ' +
        'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
    ],
  );
  assert.match(errorsOf({ podSelector: { matchLabels: { 'a b': 'c' } } })[0] ?? '', /must be a label key/);
});
