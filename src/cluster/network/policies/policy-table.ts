import type { NetworkPlan } from '../plan.ts';
import type { WrittenRuleset } from '../table-writer.ts';
import type { PolicyRules } from './policy-rules.ts';

export const policyTable = ({ id }: Pick<NetworkPlan, 'id'>) => `kittiwake-${id}-policies`;

/**
 * The table of NetworkPolicies: what is wanted as a whole, and the difference to what the kernel has. What comes from
 * a pod is judged first, then what goes to one: each has a hook of its own, so that one's `accept` is not the other's.
 */
export class PolicyTable implements WrittenRuleset {
  readonly #plan: NetworkPlan;
  #wanted: PolicyRules = noRules();
  #applied: PolicyRules = noRules();

  constructor(plan: NetworkPlan) {
    this.#plan = plan;
  }

  set(rules: PolicyRules): void {
    this.#wanted = rules;
  }

  transaction(): string | undefined {
    const table = `ip ${policyTable(this.#plan)}`;
    const [is, shall] = [this.#applied, this.#wanted];
    const lines: string[] = [];
    for (const [name, { type, elements }] of shall.sets) {
      const old = is.sets.get(name);
      if (!old) lines.push(`add set ${table} ${name} { type ${type}; }`);
      lines.push(...difference(table, name, old?.elements ?? new Set(), elements));
    }
    for (const name of shall.chains.keys()) if (!is.chains.has(name)) lines.push(`add chain ${table} ${name}`);
    for (const [name, text] of shall.chains) {
      if (is.chains.get(name) === text) continue;
      lines.push(`flush chain ${table} ${name}`, ...rulesOf(table, name, text));
    }
    for (const map of ['ingress', 'egress'] as const) {
      lines.push(...difference(table, map, entries(is[map]), entries(shall[map])));
      const [selfIs, selfShall] = [isolated(is), isolated(shall)];
      if (map === 'egress') lines.push(...difference(table, 'selves', selfIs, selfShall));
    }
    const gone = [...is.chains.keys()].filter((name) => !shall.chains.has(name));
    lines.push(...gone.map((name) => `flush chain ${table} ${name}`));
    lines.push(...gone.map((name) => `delete chain ${table} ${name}`));
    for (const name of is.sets.keys()) if (!shall.sets.has(name)) lines.push(`delete set ${table} ${name}`);
    return lines.length === 0 ? undefined : `${lines.join('\n')}\n`;
  }

  whole(): string {
    const name = policyTable(this.#plan);
    const before = this.#applied;
    this.#applied = noRules();
    const filling = this.transaction() ?? '';
    this.#applied = before;
    return `table ip ${name} {}\ndelete table ip ${name}\ntable ip ${name} {\n${frame}}\n${filling}`;
  }

  done(): void {
    this.#applied = this.#wanted;
  }
}

const frame = `  map egress { type ipv4_addr : verdict; }
  map ingress { type ipv4_addr : verdict; }
  # Nobody keeps a pod from itself.
  set selves { type ipv4_addr . ipv4_addr; }
  chain from-pods {
    type filter hook forward priority -2; policy accept;
    ct state established,related accept;
    ip saddr . ip daddr @selves accept;
    ip saddr vmap @egress;
  }
  chain to-pods {
    type filter hook forward priority -1; policy accept;
    ct state established,related accept;
    ip saddr . ip daddr @selves accept;
    ip daddr vmap @ingress;
  }
`;

export const noRules = (): PolicyRules => ({
  chains: new Map(),
  sets: new Map(),
  ingress: new Map(),
  egress: new Map(),
});

const entries = (map: ReadonlyMap<string, string>) => new Set([...map].map(([ip, chain]) => `${ip} : goto ${chain}`));

const isolated = ({ ingress, egress }: PolicyRules) =>
  new Set([...ingress.keys(), ...egress.keys()].map((ip) => `${ip} . ${ip}`));

const rulesOf = (table: string, chain: string, text: string) =>
  text.split('\n').map((rule) => `add rule ${table} ${chain} ${rule}`);

function difference(table: string, name: string, is: ReadonlySet<string>, shall: ReadonlySet<string>): string[] {
  const [gone, added] = [[...is].filter((each) => !shall.has(each)), [...shall].filter((each) => !is.has(each))];
  return [
    // Of a map's entries, the keys.
    ...(gone.length > 0
      ? [`delete element ${table} ${name} { ${gone.map((each) => each.split(' : ')[0]).join(', ')} }`]
      : []),
    ...(added.length > 0 ? [`add element ${table} ${name} { ${added.join(', ')} }`] : []),
  ];
}
