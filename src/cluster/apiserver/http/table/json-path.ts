import { isJsonObject } from '../../../../lib/json-object.ts';

/** Evaluates a compiled path on an object: all values that it leads to, in document order. */
export type JsonPath = (object: unknown) => unknown[];

type Step = (values: unknown[]) => unknown[];

/**
 * Compiles the JSONPath of printer columns and scale subresources (the dialect of client-go's util/jsonpath): fields
 * (`.spec.replicas`, `['a.b']`, `.a\.b`), `[0]`, `[-1]`, `[1:3]`, `[*]`, `..name`, and filters such as
 * `[?(@.type=="Ready")]`. Throws a SyntaxError that names the path and the place.
 */
export function compileJsonPath(path: string): JsonPath {
  const text = path.replace(/^\{(.*)\}$/s, '$1').replace(/^\$/, '');
  const steps: Step[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const match = steps.length === 0 && at === 0 ? (bareField.exec(rest) ?? nextPart(rest)) : nextPart(rest);
    if (!match) throw new SyntaxError(`JSONPath ${path}: cannot read "${rest}" at ${at}`);
    steps.push(stepOf(match, path));
    at += match[0].length;
  }
  return (object) => steps.reduce<unknown[]>((values, step) => step(values), [object]);
}

/** A path may start without its dot. */
const bareField = /^(?<field>(?:[\w-]|\\.)+)/;
const parts = [
  /^\.\.(?<deep>(?:[\w-]|\\.)+)/,
  /^\.?\[(?:'(?<quoted>(?:[^'\\]|\\.)*)'|"(?<doubled>(?:[^"\\]|\\.)*)")\]/,
  /^\.?\[\?\((?<filter>(?:"[^"]*"|'[^']*'|[^"')])*)\)\]/,
  /^\.?\[(?<star>\*)\]/,
  /^\.(?<star>\*)/,
  /^\.?\[(?<from>-?\d*):(?<to>-?\d*)\]/,
  /^\.?\[(?<index>-?\d+)\]/,
  /^\.(?<field>(?:[^\s.[\]\\'"(){}]|\\.)+)/,
  /^(?<self>\.)$/,
];

function nextPart(text: string): RegExpExecArray | undefined {
  for (const part of parts) {
    const match = part.exec(text);
    if (match) return match;
  }
  return undefined;
}

function stepOf(match: RegExpExecArray, path: string): Step {
  const { deep, quoted, doubled, filter, star, from, to, index, field } = match.groups ?? {};
  const name = field ?? quoted ?? doubled;
  if (name !== undefined) return fieldStep(name.replace(/\\(.)/g, '$1'));
  if (deep !== undefined) return (values) => values.flatMap((value) => descendants(value, deep));
  if (filter !== undefined) return filterStep(filter, path);
  if (star !== undefined) return (values) => values.flatMap(children);
  if (index !== undefined) {
    return (values) => values.flatMap((v) => (Array.isArray(v) ? present(v.at(Number(index))) : []));
  }
  if (from !== undefined && to !== undefined) {
    const [start, end] = [from === '' ? 0 : Number(from), to === '' ? undefined : Number(to)];
    return (values) => values.flatMap((v) => (Array.isArray(v) ? v.slice(start, end) : []));
  }
  return (values) => values;
}

const present = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [value]);

const fieldStep =
  (name: string): Step =>
  (values) =>
    values.flatMap((value) => (isJsonObject(value) && Object.hasOwn(value, name) ? present(value[name]) : []));

function children(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  return isJsonObject(value) ? Object.values(value) : [];
}

function descendants(value: unknown, name: string): unknown[] {
  const here = isJsonObject(value) && Object.hasOwn(value, name) ? present(value[name]) : [];
  return [...here, ...children(value).flatMap((child) => descendants(child, name))];
}

type Literal = string | number | boolean;
const comparisons: Record<string, (a: Literal, b: Literal) => boolean> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
};

/** `@.a.b == "text"` keeps the items whose value compares so; `@.a` those that have one. */
function filterStep(text: string, path: string): Step {
  const match = /^\s*@(?<left>.*?)\s*(?:(?<operator>==|!=|<=|>=|<|>)\s*(?<right>.+?)\s*)?$/s.exec(text);
  if (!match?.groups) throw new SyntaxError(`JSONPath ${path}: the filter "${text}" must start with @`);
  const { left = '', operator, right } = match.groups;
  const valuesOf = compileJsonPath(left);
  if (operator === undefined || right === undefined) {
    return (values) => values.flatMap(children).filter((item) => valuesOf(item).length > 0);
  }
  const compare = comparisons[operator];
  const literal = literalOf(right, path);
  return (values) =>
    values.flatMap(children).filter((item) => {
      const value = valuesOf(item)[0];
      const isComparable = typeof value === typeof literal;
      return isComparable && (compare?.(value as Literal, literal) ?? false);
    });
}

function literalOf(text: string, path: string): Literal {
  const quoted = /^(?:"([^"]*)"|'([^']*)')$/.exec(text);
  if (quoted) return quoted[1] ?? quoted[2] ?? '';
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new SyntaxError(`JSONPath ${path}: "${text}" is neither a string in quotes, a number, nor a boolean`);
}
