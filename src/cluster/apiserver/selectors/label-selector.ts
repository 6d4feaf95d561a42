import { badRequest } from '../../../api/status.ts';

type Requirement =
  | { key: string; operator: 'exists' }
  | { key: string; operator: 'not exists' }
  | { key: string; operator: 'in'; values: ReadonlySet<string> }
  | { key: string; operator: 'not in'; values: ReadonlySet<string> }
  | { key: string; operator: 'compare'; isLess: boolean; than: number };

export type LabelMatcher = (labels: Record<string, string> | undefined) => boolean;

/**
 * Compiles a label selector query: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Undefined when it selects everything;
 * 400 when it is malformed. `!=` and `notin` select objects that lack the key, as in Kubernetes.
 */
export function compileLabelSelector(query: string | undefined): LabelMatcher | undefined {
  const requirements = parse(query ?? '');
  if (requirements.length === 0) return undefined;
  return (labels = {}) => requirements.every((requirement) => holds(requirement, labels));
}

function holds(requirement: Requirement, labels: Record<string, string>): boolean {
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  if (requirement.operator === 'compare') {
    if (value === undefined || !/^-?\d+$/.test(value)) return false;
    return requirement.isLess ? Number(value) < requirement.than : Number(value) > requirement.than;
  }
  if (requirement.operator === 'exists') return value !== undefined;
  if (requirement.operator === 'not exists') return value === undefined;
  if (requirement.operator === 'in') return value !== undefined && requirement.values.has(value);
  return value === undefined || !requirement.values.has(value);
}

const key = '[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?';
const setBased = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const equality = new RegExp(`^(${key})\\s*(==|=|!=|<|>)\\s*([-A-Za-z0-9_.]*)$`);
const existence = new RegExp(`^(!?)\\s*(${key})$`);

function parse(query: string): Requirement[] {
  return splitOutsideParentheses(query)
    .map((part) => part.trim())
    .filter((part, _, parts) => part !== '' || (parts.length > 1 && malformed(query)))
    .map((part) => requirementOf(part, query));
}

function requirementOf(part: string, query: string): Requirement {
  const set = setBased.exec(part);
  if (set) {
    const [, name = '', , operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    return { key: name, operator: operator === 'in' ? 'in' : 'not in', values };
  }
  const equal = equality.exec(part);
  if (equal) {
    const [, name = '', , operator, value = ''] = equal;
    if (operator === '<' || operator === '>') {
      if (!/^-?\d+$/.test(value)) malformed(query);
      return { key: name, operator: 'compare', isLess: operator === '<', than: Number(value) };
    }
    return { key: name, operator: operator === '!=' ? 'not in' : 'in', values: new Set([value]) };
  }
  const exists = existence.exec(part);
  if (!exists) return malformed(query);
  return { key: exists[2] ?? '', operator: exists[1] === '!' ? 'not exists' : 'exists' };
}

function malformed(query: string): never {
  throw badRequest(`unable to parse requirement: label selector ${JSON.stringify(query)} is malformed`);
}

function splitOutsideParentheses(query: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < query.length; i++) {
    if (query[i] === '(') depth++;
    else if (query[i] === ')') depth--;
    else if (query[i] === ',' && depth === 0) {
      parts.push(query.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(query.slice(start));
  return parts;
}
