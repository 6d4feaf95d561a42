import type { Filter } from '../../api/eventing/filter.ts';
import type { TriggerSpec } from '../../api/eventing/trigger.ts';
import { attributeText, type CloudEvent } from '../cloudevents/event.ts';

export type Matches = (event: CloudEvent) => boolean;

/** The filters in which a trigger says what it wants, compiled; or why they cannot be. */
export type CompiledFilter = { matches: Matches } | { unsupported: string };

/** `filters` wins over `filter.attributes`; neither means every event (Knative's Trigger). */
export function compileFilter(spec: Pick<TriggerSpec, 'filter' | 'filters'>): CompiledFilter {
  if (spec.filters && spec.filters.length > 0) {
    const unsupported = findCesql(spec.filters, 'spec.filters');
    return unsupported === undefined ? { matches: every(spec.filters.map(compile)) } : { unsupported };
  }
  const attributes = Object.entries(spec.filter?.attributes ?? {});
  return { matches: every(attributes.map(([name, value]) => (value === '' ? isPresent(name) : equals(name, value)))) };
}

function compile(filter: Filter): Matches {
  if (filter.exact) return every(Object.entries(filter.exact).map(([name, value]) => equals(name, value)));
  if (filter.prefix) return onText(filter.prefix, (text, prefix) => text.startsWith(prefix));
  if (filter.suffix) return onText(filter.suffix, (text, suffix) => text.endsWith(suffix));
  if (filter.all) return every(filter.all.map(compile));
  if (filter.any) return some(filter.any.map(compile));
  if (filter.not) {
    const inner = compile(filter.not);
    return (event) => !inner(event);
  }
  // Admission lets no other filter in; one that is there all the same must not let everything through.
  return () => false;
}

const isPresent = (name: string): Matches => {
  return (event) => (attributeText(event, name) ?? '') !== '';
};

const equals = (name: string, value: string): Matches => {
  return (event) => attributeText(event, name) === value;
};

function onText(wanted: Record<string, string>, test: (text: string, part: string) => boolean): Matches {
  const parts = Object.entries(wanted);
  return (event) =>
    parts.every(([name, part]) => {
      const text = attributeText(event, name);
      return text !== undefined && test(text, part);
    });
}

function every(list: readonly Matches[]): Matches {
  const only = list[0];
  if (list.length === 1 && only) return only;
  return (event) => list.every((matches) => matches(event));
}

function some(list: readonly Matches[]): Matches {
  return (event) => list.some((matches) => matches(event));
}

function findCesql(filters: readonly Filter[], field: string): string | undefined {
  for (const [i, filter] of filters.entries()) {
    const found = findCesqlIn(filter, `${field}[${i}]`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function findCesqlIn(filter: Filter, field: string): string | undefined {
  if (filter.cesql !== undefined) return `${field}.cesql: CloudEvents SQL is not supported yet`;
  return (
    findCesql(filter.all ?? [], `${field}.all`) ??
    findCesql(filter.any ?? [], `${field}.any`) ??
    (filter.not && findCesqlIn(filter.not, `${field}.not`))
  );
}
