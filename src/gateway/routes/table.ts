import type { CoreService } from '../../api/core/service.ts';
import type { EndpointSlice } from '../../api/discovery/endpoint-slice.ts';
import type { KubeObject } from '../../api/meta.ts';
import { type Ingress, isForOurGateways } from '../../api/networking/ingress.ts';
import { addressesOf } from './addresses.ts';
import { type Limits, type PathRoute, type Problem, type RouteChange, type Target, unknownTarget } from './change.ts';
import { routesOf } from './ingress.ts';
import { attempt } from './problems.ts';

/** Where the table reads what is there now; keys are `namespace/name`. */
export interface RoutedObjects {
  ingress(key: string): Ingress | undefined;
  service(key: string): CoreService | undefined;
  /** Of the Service `key`. */
  slices(key: string): Iterable<EndpointSlice>;
  /** What bounds requests to a Service, and whose pods it leads to. */
  limits(service: CoreService, problems: Problem[]): Limits & Pick<Target, 'revision'>;
}

/** One Ingress as the table has it. */
interface Entry {
  /** The older of two that want the same host has it. */
  age: string;
  hosts: ReadonlyMap<string, readonly PathRoute[]>;
  targets: ReadonlySet<string>;
  /** Of which it names a port by name. */
  services: ReadonlySet<string>;
}

/**
 * Ingress → Service and port → EndpointSlices, kept up to date piece by piece: it is told which Ingress or Service has
 * changed, and `take` works out what that changes, in time that does not depend on how many others there are.
 *
 *   ingressChanged(key) ─┐
 *                        ├─▶ what is to be looked at ─▶ take(max) ─▶ RouteChange
 *   serviceChanged(key) ─┘
 *
 * Invariant: whatever a route names is among the targets, from the change that names it first to the one after which
 * nobody does.
 */
export class RouteTable {
  readonly #objects: RoutedObjects;
  readonly #ingresses = new Map<string, Entry>();
  /** Who wants a host, the oldest first. */
  readonly #claims = new Map<string, Entry[]>();
  /** How many Ingresses name a target. */
  readonly #named = new Map<string, number>();
  /** The targets that a Service has, by its key. */
  readonly #targetsOf = new Index();
  /** The Ingresses that name a port of a Service by name: what it stands for may change. */
  readonly #namersOf = new Index();
  /** What is wrong, by the Ingress or target that it was found with. */
  readonly #problems = new Map<string, readonly Problem[]>();
  readonly #changedIngresses = new Set<string>();
  readonly #changedServices = new Set<string>();

  readonly #onProblem: (problem: Problem) => void;
  #problemCount = 0;

  /** `onProblem` hears once of each part of an object that is left out. */
  constructor(objects: RoutedObjects, onProblem: (problem: Problem) => void) {
    this.#objects = objects;
    this.#onProblem = onProblem;
  }

  /** Nothing is left to be taken. */
  get isSettled(): boolean {
    return this.#changedIngresses.size === 0 && this.#changedServices.size === 0;
  }

  ingressChanged(key: string): void {
    this.#changedIngresses.add(key);
  }

  /** The Service itself, its slices, or what limits it. */
  serviceChanged(key: string): void {
    // One that no route names is not looked at: when one does, its targets are made anew.
    if (this.#targetsOf.has(key)) this.#changedServices.add(key);
    for (const ingress of this.#namersOf.of(key)) this.#changedIngresses.add(ingress);
  }

  /** Works out up to `max` of the changes; what is left is for the next call. */
  take(max: number): RouteChange {
    const hosts = new Map<string, readonly PathRoute[] | undefined>();
    const targets = new Map<string, Target | undefined>();
    let left = max;
    for (const key of this.#changedIngresses) {
      if (left-- <= 0) break;
      this.#changedIngresses.delete(key);
      this.#guarded(`Ingress ${key}`, () => this.#takeIngress(key, hosts, targets));
    }
    for (const key of this.#changedServices) {
      if (left-- <= 0) break;
      this.#changedServices.delete(key);
      for (const target of this.#targetsOf.of(key)) this.#makeTarget(key, target, targets);
    }
    return { hosts, targets, problems: this.#problemCount };
  }

  /** What cannot be made costs itself only: it stays as it was before. */
  #guarded(object: string, make: () => void): void {
    attempt((why) => this.#onProblem({ object, why }), -1, make);
  }

  #makeTarget(service: string, target: string, targets: Map<string, Target | undefined>): void {
    this.#guarded(`Service ${service}`, () => targets.set(target, this.#targetOf(service, target)));
  }

  #takeIngress(
    key: string,
    hosts: Map<string, readonly PathRoute[] | undefined>,
    targets: Map<string, Target | undefined>,
  ): void {
    const before = this.#ingresses.get(key);
    const entry = this.#entryOf(key);
    for (const target of entry?.targets ?? []) if (!before?.targets.has(target)) this.#name(target, targets);
    for (const target of before?.targets ?? []) if (!entry?.targets.has(target)) this.#unname(target, targets);
    for (const service of before?.services ?? []) this.#namersOf.delete(service, key);
    for (const service of entry?.services ?? []) this.#namersOf.add(service, key);
    if (entry) this.#ingresses.set(key, entry);
    else this.#ingresses.delete(key);
    for (const host of new Set([...(before?.hosts.keys() ?? []), ...(entry?.hosts.keys() ?? [])])) {
      hosts.set(host, this.#claim(host, before, entry));
    }
  }

  #entryOf(key: string): Entry | undefined {
    const ingress = this.#objects.ingress(key);
    const problems: Problem[] = [];
    const isServed = ingress !== undefined && isForOurGateways(ingress);
    const services = new Set<string>();
    const portOf = (service: string, name: string) => {
      services.add(service);
      return String(this.#objects.service(service)?.spec.ports?.find((port) => port.name === name)?.port ?? name);
    };
    const hosts = isServed ? routesOf(ingress, problems, portOf) : undefined;
    this.#tell(`Ingress ${key}`, problems);
    if (!isServed || hosts === undefined) return undefined;
    const targets = new Set<string>();
    for (const routes of new Set(hosts.values())) {
      for (const route of routes) for (const split of route.splits) targets.add(split.target);
    }
    return { age: ageOf(ingress), hosts, targets, services };
  }

  /** Puts `entry` in the place of `before` among those that want `host`; returns the routes of the first of them. */
  #claim(host: string, before: Entry | undefined, entry: Entry | undefined): readonly PathRoute[] | undefined {
    const claims = (this.#claims.get(host) ?? []).filter((one) => one !== before);
    if (entry?.hosts.has(host)) claims.push(entry);
    if (claims.length === 0) this.#claims.delete(host);
    else this.#claims.set(host, claims);
    if (claims.length > 1) claims.sort((a, b) => (a.age < b.age ? -1 : 1));
    return claims[0]?.hosts.get(host);
  }

  #name(target: string, targets: Map<string, Target | undefined>): void {
    const count = this.#named.get(target) ?? 0;
    this.#named.set(target, count + 1);
    if (count > 0) return;
    const service = serviceOf(target);
    this.#targetsOf.add(service, target);
    // While it cannot be made, its requests wait: who names what must not depend on it.
    targets.set(target, unknownTarget(target));
    this.#makeTarget(service, target, targets);
  }

  #unname(target: string, targets: Map<string, Target | undefined>): void {
    const count = (this.#named.get(target) ?? 0) - 1;
    if (count > 0) {
      this.#named.set(target, count);
      return;
    }
    this.#named.delete(target);
    this.#targetsOf.delete(serviceOf(target), target);
    this.#tell(target, []);
    targets.set(target, undefined);
  }

  #targetOf(serviceKey: string, key: string): Target {
    const service = this.#objects.service(serviceKey);
    const problems: Problem[] = [];
    const target = unknownTarget(key);
    if (service !== undefined) {
      const port = key.slice(key.indexOf(':') + 1);
      const endpoints = addressesOf(service, port, this.#objects.slices(serviceKey), problems);
      Object.assign(target, this.#objects.limits(service, problems), { endpoints });
    }
    this.#tell(key, problems);
    return target;
  }

  #tell(about: string, problems: readonly Problem[]): void {
    const before = this.#problems.get(about) ?? [];
    if (problems.length === 0 && before.length === 0) return;
    this.#problemCount += problems.length - before.length;
    if (problems.length === 0) this.#problems.delete(about);
    else this.#problems.set(about, problems);
    const known = new Set(before.map(textOf));
    for (const problem of problems) if (!known.has(textOf(problem))) this.#onProblem(problem);
  }
}

/** Some words for each key that has any. */
class Index {
  readonly #all = new Map<string, Set<string>>();

  has(key: string): boolean {
    return this.#all.has(key);
  }

  of(key: string): Iterable<string> {
    return this.#all.get(key) ?? [];
  }

  add(key: string, word: string): void {
    this.#all.set(key, (this.#all.get(key) ?? new Set()).add(word));
  }

  delete(key: string, word: string): void {
    const words = this.#all.get(key);
    words?.delete(word);
    if (words?.size === 0) this.#all.delete(key);
  }
}

const textOf = ({ object, why }: Problem): string => `${object}: ${why}`;

const serviceOf = (target: string): string => target.slice(0, target.indexOf(':'));

function ageOf({ metadata }: KubeObject): string {
  const { creationTimestamp = '', namespace, name } = metadata;
  return `${creationTimestamp} ${namespace}/${name}`;
}
