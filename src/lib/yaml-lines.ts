import {
  EVENT_ALIAS,
  EVENT_DOCUMENT,
  EVENT_MAPPING,
  EVENT_POP,
  EVENT_SCALAR,
  EVENT_SEQUENCE,
  type Event,
  getScalarValue,
} from 'js-yaml';

/** A value of a document: the line (from 1) where its key or itself stands, and the values in it by key or index. */
export interface LineNode {
  line: number;
  children: Map<string, LineNode> | undefined;
  isSequence: boolean;
}

/** For each document, where its values stand. Walks the parser's events with a stack of open collections. */
export function documentLines(events: readonly Event[], text: string): LineNode[] {
  const lineAt = lineFinder(text);
  const documents: LineNode[] = [];
  const stack: { node: LineNode; key: LineNode | undefined }[] = [];

  /** Puts a value, which starts at `position`, into what is open; `scalar` is its text, should it be a key. */
  const place = (position: number, scalar: string | undefined): LineNode => {
    const fresh: LineNode = { line: lineAt(position), children: undefined, isSequence: false };
    const top = stack.at(-1);
    if (!top) return fresh;
    if (top.key !== undefined) {
      const value = top.key;
      top.key = undefined;
      if (stack.length === 1) value.line = fresh.line;
      return value; // It stands where its key stands; a document where its value does.
    }
    const { node } = top;
    node.children ??= new Map();
    if (node.isSequence) node.children.set(String(node.children.size), fresh);
    else {
      node.children.set(scalar ?? '', fresh);
      top.key = fresh;
    }
    return fresh;
  };

  for (const event of events) {
    if (event.type === EVENT_DOCUMENT) {
      const root: LineNode = { line: 1, children: undefined, isSequence: false };
      documents.push(root);
      stack.push({ node: root, key: root }); // A document holds one value: itself.
    } else if (event.type === EVENT_POP) {
      stack.pop();
    } else if (event.type === EVENT_MAPPING || event.type === EVENT_SEQUENCE) {
      const node = place(event.start, undefined);
      node.isSequence = event.type === EVENT_SEQUENCE;
      stack.push({ node, key: undefined });
    } else if (event.type === EVENT_SCALAR) {
      place(event.valueStart, getScalarValue(text, event));
    } else if (event.type === EVENT_ALIAS) {
      place(event.anchorStart, undefined);
    }
  }
  return documents;
}

/**
 * The line of the field that `path` names, else of the nearest one above it. Keys may hold dots and stand in brackets,
 * with or without quotes: `metadata.annotations[a.b/c]` and `metadata.annotations.a.b/c` are the same field. Any text
 * ends: each step goes one level down in the document, and never reads more of the path than a key is long.
 */
export function nearestLine(root: LineNode | undefined, path: string): number {
  let best = { line: root?.line ?? 1, at: 0 };
  const visit = (node: LineNode, at: number): void => {
    if (at > best.at) best = { line: node.line, at };
    if (at === path.length || !node.children) return;
    if (node.isSequence) {
      const index = /^\[(\d{1,15})\]/.exec(path.slice(at, at + 18));
      const child = node.children.get(index?.[1] ?? '');
      if (index && child) visit(child, at + index[0].length);
      return;
    }
    for (const [key, child] of node.children) {
      const end = endOfKey(path, at, key);
      if (end !== undefined) visit(child, end);
    }
  };
  if (root) visit(root, 0);
  return best.line;
}

/** Where `key` ends when it is the next one of the path at `at`: `.key` or `[key]`; at the start also `key`. */
function endOfKey(path: string, at: number, key: string): number | undefined {
  if (path[at] === '[') {
    const quote = path[at + 1] === '"' || path[at + 1] === "'" ? path[at + 1] : '';
    const inBrackets = `[${quote}${key}${quote}]`;
    return path.startsWith(inBrackets, at) ? at + inBrackets.length : undefined;
  }
  if (path[at] !== '.' && at !== 0) return undefined;
  const start = path[at] === '.' ? at + 1 : at;
  if (!path.startsWith(key, start)) return undefined;
  const end = start + key.length;
  return end === path.length || path[end] === '.' || path[end] === '[' ? end : undefined;
}

/** Lines end with LF, CR LF or CR (YAML 1.2.2, §5.4). */
function lineFinder(text: string): (position: number) => number {
  const starts = [0];
  for (const end of text.matchAll(/\r\n|\r|\n/g)) starts.push(end.index + end[0].length);
  return (position) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= position) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}
