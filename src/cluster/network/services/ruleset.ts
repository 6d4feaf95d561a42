import { cidrText } from '../cidr.ts';
import { gatewayDevice, linkPrefix } from '../host-rules.ts';
import type { NetworkPlan } from '../plan.ts';
import type { Element, Rules } from './rules.ts';

export const serviceTable = ({ id }: Pick<NetworkPlan, 'id'>) => `kittiwake-${id}-services`;

/**
 * What the table shall be, and what the kernel has of it:
 *
 *     set(service, rules) ──▶ wanted ── transaction() ──▶ the kernel ── done() ──▶ applied
 *
 * Only what has changed is looked at, so a change costs the same among ten Services and two thousand.
 */
export class Ruleset {
  readonly #plan: NetworkPlan;
  readonly #services = new Map<string, Rules>();
  readonly #wanted = { chains: new Map<string, string>(), sets: new Map<string, string>() };
  /** Two Services may want the same element: the one that came first has it. */
  readonly #claims = new Map<string, Map<string, Element>>();
  readonly #applied = {
    chains: new Map<string, string>(),
    sets: new Map<string, string>(),
    elements: new Map<string, Element>(),
  };
  readonly #changed = { chains: new Set<string>(), sets: new Set<string>(), elements: new Set<string>() };

  constructor(plan: NetworkPlan) {
    this.#plan = plan;
  }

  get size(): number {
    return this.#services.size;
  }

  rulesOf(service: string): Rules | undefined {
    return this.#services.get(service);
  }

  set(service: string, rules: Rules | undefined): void {
    const old = this.#services.get(service);
    for (const name of old?.chains.keys() ?? []) {
      this.#wanted.chains.delete(name);
      this.#changed.chains.add(name);
    }
    for (const name of old?.sets.keys() ?? []) {
      this.#wanted.sets.delete(name);
      this.#changed.sets.add(name);
    }
    for (const element of old?.elements ?? []) {
      const id = idOf(element);
      const claims = this.#claims.get(id);
      claims?.delete(service);
      if (claims?.size === 0) this.#claims.delete(id);
      this.#changed.elements.add(id);
    }
    this.#services.delete(service);
    if (!rules) return;
    this.#services.set(service, rules);
    for (const [name, text] of rules.chains) {
      this.#wanted.chains.set(name, text);
      this.#changed.chains.add(name);
    }
    for (const [name, text] of rules.sets) {
      this.#wanted.sets.set(name, text);
      this.#changed.sets.add(name);
    }
    for (const element of rules.elements) {
      const id = idOf(element);
      const claims = this.#claims.get(id) ?? new Map<string, Element>();
      this.#claims.set(id, claims);
      claims.set(service, element);
      this.#changed.elements.add(id);
    }
  }

  /** What makes the kernel's table the wanted one; undefined when it is. */
  transaction(): string | undefined {
    const table = serviceTable(this.#plan);
    const { chains: wantedChains, sets: wantedSets } = this.#wanted;
    const { chains, sets, elements } = this.#applied;
    const [first, rules, last]: [string[], string[], string[]] = [[], [], []];
    for (const name of this.#changed.sets) {
      const [is, shall] = [sets.get(name), wantedSets.get(name)];
      if (shall !== undefined && is === undefined) first.push(`add set ip ${table} ${name} { ${shall} }`);
      if (shall === undefined && is !== undefined) last.push(`delete set ip ${table} ${name}`);
    }
    const gone: string[] = [];
    for (const name of this.#changed.chains) {
      const [is, shall] = [chains.get(name), wantedChains.get(name)];
      if (is === shall) continue;
      if (is === undefined) first.push(`add chain ip ${table} ${name}`);
      else rules.push(`flush chain ip ${table} ${name}`);
      if (shall === undefined) gone.push(`delete chain ip ${table} ${name}`);
      for (const rule of shall?.split('\n') ?? []) rules.push(`add rule ip ${table} ${name} ${rule}`);
    }
    const [remove, add]: [Element[], Element[]] = [[], []];
    for (const id of this.#changed.elements) {
      const [is, shall] = [elements.get(id), this.#elementOf(id)];
      if (is?.value === shall?.value && (is === undefined) === (shall === undefined)) continue;
      if (is) remove.push(is);
      if (shall) add.push(shall);
    }
    const lines = [
      ...first,
      ...rules,
      ...byContainer(remove, ({ key }) => key).map(([of, all]) => `delete element ip ${table} ${of} { ${all} }`),
      ...byContainer(add, entryOf).map(([of, all]) => `add element ip ${table} ${of} { ${all} }`),
      ...gone,
      ...last,
    ];
    return lines.length === 0 ? undefined : `${lines.join('\n')}\n`;
  }

  /** All of it, in place of whatever is there. */
  whole(): string {
    const every = [...this.#claims.keys()].flatMap((id) => this.#elementOf(id) ?? []);
    const table = serviceTable(this.#plan);
    const sets = [...this.#wanted.sets].map(([name, text]) => `  set ${name} { ${text} }`);
    const { chains } = this.#wanted;
    const rules = [...chains].flatMap(([name, text]) =>
      text.split('\n').map((rule) => `add rule ip ${table} ${name} ${rule}`),
    );
    return [
      `table ip ${table} {}`,
      `delete table ip ${table}`,
      `table ip ${table} {`,
      frame(this.#plan),
      ...sets,
      ...[...chains.keys()].map((name) => `  chain ${name} {}`),
      '}',
      ...rules,
      ...byContainer(every, entryOf).map(([of, all]) => `add element ip ${table} ${of} { ${all} }`),
      '',
    ].join('\n');
  }

  /** The kernel has taken the last transaction, or the whole. */
  done(how: 'transaction' | 'whole'): void {
    const { chains, sets, elements } = this.#applied;
    if (how === 'whole') {
      for (const map of [chains, sets, elements]) map.clear();
      for (const name of this.#wanted.chains.keys()) this.#changed.chains.add(name);
      for (const name of this.#wanted.sets.keys()) this.#changed.sets.add(name);
      for (const id of this.#claims.keys()) this.#changed.elements.add(id);
    }
    for (const name of this.#changed.chains) setOrDelete(chains, name, this.#wanted.chains.get(name));
    for (const name of this.#changed.sets) setOrDelete(sets, name, this.#wanted.sets.get(name));
    for (const id of this.#changed.elements) setOrDelete(elements, id, this.#elementOf(id));
    for (const changed of Object.values(this.#changed)) changed.clear();
  }

  #elementOf(id: string): Element | undefined {
    return this.#claims.get(id)?.values().next().value;
  }
}

/** What stands whatever Services there are. */
function frame(plan: NetworkPlan): string {
  const pods = `"${linkPrefix(plan)}*"`;
  return `  map addresses { type ipv4_addr . inet_proto . inet_service : verdict; }
  map node-ports { type inet_proto . inet_service : verdict; }
  set unserved { type ipv4_addr . inet_proto . inet_service; }
  set hairpins { type ipv4_addr . ipv4_addr; }
  set outside { type ipv4_addr . inet_proto . inet_service; }

  chain dispatch {
    ip daddr . meta l4proto . th dport vmap @addresses;
    fib daddr type local meta l4proto . th dport vmap @node-ports;
  }
  chain from-network {
    type nat hook prerouting priority dstnat; policy accept;
    goto dispatch;
  }
  chain from-host {
    type nat hook output priority -100; policy accept;
    goto dispatch;
  }
  chain leaving {
    type nat hook postrouting priority 99; policy accept;
    oifname ${pods} ip saddr . ip daddr @hairpins snat to ${plan.gatewayAddress};
    ct status dnat oifname != { "lo", "${gatewayDevice(plan)}" } ip daddr . meta l4proto . th dport @outside masquerade;
  }
  chain refuse {
    ip daddr ${cidrText(plan.serviceRange)} reject with icmp port-unreachable;
    ip daddr . meta l4proto . th dport @unserved reject with icmp port-unreachable;
  }
  chain refuse-forwarded {
    type filter hook forward priority filter; policy accept;
    goto refuse;
  }
  chain refuse-from-host {
    type filter hook output priority filter; policy accept;
    goto refuse;
  }`;
}

const idOf = ({ in: container, key }: Element) => `${container} ${key}`;
const entryOf = ({ key, value }: Element) => (value === undefined ? key : `${key} : ${value}`);

function byContainer(elements: readonly Element[], textOf: (element: Element) => string): [string, string][] {
  const found = new Map<string, string[]>();
  for (const element of elements) {
    const texts = found.get(element.in) ?? [];
    found.set(element.in, texts);
    texts.push(textOf(element));
  }
  return [...found].map(([container, texts]) => [container, texts.join(', ')]);
}

function setOrDelete<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
