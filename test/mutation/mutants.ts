import { stripTypeScriptTypes } from 'node:module';
import { type Node, parse } from 'acorn';

/** One small change of a source file that a test should notice. */
export interface Mutant {
  /** In UTF-16 units of the source. */
  start: number;
  end: number;
  replacement: string;
  /** From 1. */
  line: number;
  /** The changed line before and after, trimmed: how people and the list of survivors name it. */
  before: string;
  after: string;
}

type AnyNode = Node & Record<string, unknown>;
type Change = { start: number; end: number; replacement: string };

const swapped: Record<string, string> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '*',
  '&&': '||',
  '||': '&&',
  '&': '|',
  '|': '&',
  '<<': '>>',
  '>>': '<<',
  '>>>': '<<',
};
const swappedMethods: Record<string, string> = { some: 'every', every: 'some', min: 'max', max: 'min' };
/** Logs, measurements and assertions are no behaviour that a user relies on. */
const unobserved = /^(\S*\b(log|metrics|counters)\b|assert\b)/;

/**
 * The mutants of a TypeScript file that can be erased to JavaScript: operators swapped, conditions made constant,
 * numbers and booleans changed, negations dropped, statements left out. Texts are left as they are.
 */
export function mutantsOf(source: string): Mutant[] {
  const code = stripTypeScriptTypes(source);
  if (code.length !== source.length) throw new Error('types are not stripped in place: offsets would be wrong');
  const changes: Change[] = [];
  const tree = parse(code, { ecmaVersion: 'latest', sourceType: 'module' });
  visit(tree as unknown as AnyNode, code, (node) => changes.push(...changesOf(node, code)));
  return changes.map((change) => named(change, source)).filter(({ before, after }) => before !== after);
}

function visit(node: AnyNode, code: string, see: (node: AnyNode) => void): void {
  if (node.type === 'ImportDeclaration' || isUnobserved(node, code)) return;
  see(node);
  // What is thrown is a message for people; that it is thrown at all is a mutant of its own.
  if (node.type === 'ThrowStatement') return;
  const inside = isFallbackOfIndex(node) ? [node.left as AnyNode] : children(node);
  for (const child of inside) visit(child, code, see);
}

function isUnobserved({ type, start, end }: AnyNode, code: string): boolean {
  return (
    type === 'ExpressionStatement' && unobserved.test(code.slice(start, end).replace(/^(this\.|void |await )+/, ''))
  );
}

/** `list[i] ?? 0`: a fallback that the types ask for and that nothing reaches. */
function isFallbackOfIndex(node: AnyNode): boolean {
  if (node.operator !== '??') return false;
  let left = node.left as AnyNode;
  if (left.type === 'ChainExpression') left = left.expression as AnyNode;
  if (left.type !== 'MemberExpression') return false;
  return left.computed === true || ((left.object as AnyNode).computed === true && left.optional === true);
}

function children(node: AnyNode): AnyNode[] {
  return Object.values(node).flatMap((value) => {
    if (Array.isArray(value)) return value.filter(isNode);
    return isNode(value) ? [value] : [];
  });
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as AnyNode).type === 'string';
}

function changesOf(node: AnyNode, code: string): Change[] {
  const text = (of: AnyNode) => code.slice(of.start, of.end);
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
      return operatorChange(node, code);
    case 'IfStatement':
    case 'ConditionalExpression': {
      const { start, end } = node.test as AnyNode;
      return ['true', 'false'].map((replacement) => ({ start, end, replacement }));
    }
    case 'WhileStatement': {
      const { start, end } = node.test as AnyNode;
      return [{ start, end, replacement: 'false' }];
    }
    case 'UnaryExpression':
      return node.operator === '!' ? [{ start: node.start, end: node.start + 1, replacement: '' }] : [];
    case 'UpdateExpression': {
      const from = node.prefix ? node.start : node.end - 2;
      return [{ start: from, end: from + 2, replacement: node.operator === '++' ? '--' : '++' }];
    }
    case 'Literal':
      return literalChange(node);
    case 'MemberExpression':
      return methodChange(node.property as AnyNode, text(node.property as AnyNode));
    case 'ExpressionStatement': {
      if ('directive' in node) return [];
      return [{ start: node.start, end: node.end, replacement: ';' }];
    }
    case 'ThrowStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
      return [{ start: node.start, end: node.end, replacement: ';' }];
    default:
      return [];
  }
}

function operatorChange(node: AnyNode, code: string): Change[] {
  const operator = node.operator as string;
  const replacement = swapped[operator];
  const left = node.left as AnyNode;
  const right = node.right as AnyNode;
  if (isFallbackOfIndex(node)) return [];
  if (operator === '??') return [{ start: left.end, end: right.end, replacement: '' }];
  if (replacement === undefined || (operator === '+' && isText(left, code))) return [];
  const start = code.indexOf(operator, left.end);
  return [{ start, end: start + operator.length, replacement }];
}

const isText = (node: AnyNode, code: string) => /^['"`]|['"`]$/.test(code.slice(node.start, node.end));

function literalChange(node: AnyNode): Change[] {
  const { start, end, value } = node;
  if (typeof value === 'boolean') return [{ start, end, replacement: String(!value) }];
  if (typeof value === 'number') {
    // One more of thousands is within what a limit may be; twice as many is another limit.
    return [{ start, end, replacement: String(value < 1000 ? value + 1 : value * 2) }];
  }
  return [];
}

function methodChange({ start, end }: AnyNode, name: string): Change[] {
  const replacement = swappedMethods[name];
  return replacement === undefined ? [] : [{ start, end, replacement }];
}

function named({ start, end, replacement }: Change, source: string): Mutant {
  const from = source.lastIndexOf('\n', start - 1) + 1;
  const newline = source.indexOf('\n', end);
  const to = newline < 0 ? source.length : newline;
  const oneLine = (text: string) => text.trim().replaceAll(/\s+/g, ' ');
  return {
    start,
    end,
    replacement,
    line: source.slice(0, start).split('\n').length,
    before: oneLine(source.slice(from, to)),
    after: oneLine(source.slice(from, start) + replacement + source.slice(end, to)),
  };
}
