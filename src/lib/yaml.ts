import {
  boolYaml11Tag,
  CORE_SCHEMA,
  constructFromEvents,
  dump,
  EVENT_ALIAS,
  EVENT_DOCUMENT,
  EVENT_MAPPING,
  EVENT_POP,
  EVENT_SCALAR,
  EVENT_SEQUENCE,
  type Event,
  getScalarValue,
  intYaml11Tag,
  mergeTag,
  parseEvents,
  YAMLException,
} from 'js-yaml';

/** Kubernetes reads YAML 1.1 scalars (`0644` is octal, `yes` is true) but leaves dates as strings, as JSON has none. */
const schema = CORE_SCHEMA.withTags(boolYaml11Tag, intYaml11Tag, mergeTag);

/** A manifest of more aliases than this is an alias bomb, not configuration. */
const aliasesMax = 100;

export interface YamlDocument {
  value: unknown;
  /** The line (from 1) where the field at `path` stands, for example `spec.traffic[1].percent`; else its parent's. */
  lineOf(path: string): number;
}

/** A syntax error in YAML; the message starts with `file:line:column`. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

/** All documents of a YAML stream, without the empty ones. Throws YamlError naming `file`, line and column. */
export function parseYaml(text: string, file: string): YamlDocument[] {
  try {
    const events = parseEvents(text, { filename: file });
    const aliases = events.filter((event) => event.type === EVENT_ALIAS).length;
    if (aliases > aliasesMax) throw new YamlError(`${file}: ${aliases} aliases: at most ${aliasesMax} are allowed`);
    const values = constructFromEvents(events, { source: text, schema, filename: file });
    const lines = documentLines(events, text);
    return values
      .map((value, i) => ({ value, lineOf: (path: string) => nearestLine(lines[i] ?? new Map(), path) }))
      .filter((document) => document.value !== null && document.value !== undefined);
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const mark = error.mark;
    throw new YamlError(`${file}:${(mark?.line ?? 0) + 1}:${(mark?.column ?? 0) + 1}: ${error.reason}`, {
      cause: error,
    });
  }
}

/** YAML text of `value`, as `kubectl get -o yaml` lays it out. */
export function toYaml(value: unknown): string {
  return dump(value, { indent: 2, lineWidth: -1, noRefs: true });
}

/** For each document, the line of every path. Walks the parser's events with a stack of open collections. */
function documentLines(events: readonly Event[], text: string): Map<string, number>[] {
  const documents: Map<string, number>[] = [];
  const lineAt = lineFinder(text);
  type Open = { path: string; isMapping: boolean; index: number; key: string | undefined };
  const stack: Open[] = [];

  /** The path at which the next value stands; undefined when it is a mapping's key. */
  const nextPath = (scalar: string | undefined): string | undefined => {
    const top = stack.at(-1);
    if (!top) return '';
    if (!top.isMapping) return `${top.path}[${top.index++}]`;
    if (top.key === undefined) {
      top.key = scalar ?? '';
      return undefined;
    }
    const path = top.path === '' ? top.key : `${top.path}.${top.key}`;
    top.key = undefined;
    return path;
  };

  for (const event of events) {
    const lines = documents.at(-1);
    if (event.type === EVENT_DOCUMENT) {
      documents.push(new Map());
      stack.push({ path: '', isMapping: true, index: 0, key: '' }); // A document holds one value, at the path ''.
    } else if (event.type === EVENT_POP) {
      stack.pop();
    } else if (event.type === EVENT_MAPPING || event.type === EVENT_SEQUENCE) {
      const path = nextPath(undefined)?.replace(/^\./, '') ?? '';
      if (!lines?.has(path)) lines?.set(path, lineAt(event.start));
      stack.push({ path, isMapping: event.type === EVENT_MAPPING, index: 0, key: undefined });
    } else if (event.type === EVENT_SCALAR) {
      const path = nextPath(getScalarValue(text, event));
      const top = stack.at(-1);
      if (path === undefined && top) {
        const full = top.path === '' ? (top.key ?? '') : `${top.path}.${top.key}`;
        lines?.set(full, lineAt(event.valueStart));
      } else if (path !== undefined && !lines?.has(path)) {
        lines?.set(path, lineAt(event.valueStart));
      }
    } else if (event.type === EVENT_ALIAS) {
      nextPath(undefined);
    }
  }
  return documents;
}

function nearestLine(lines: Map<string, number>, path: string): number {
  for (let at = path; at !== ''; at = at.replace(/(\.[^.[]*|\[\d+\]|^[^.[]+)$/, '')) {
    const line = lines.get(at);
    if (line !== undefined) return line;
  }
  return lines.get('') ?? 1;
}

function lineFinder(text: string): (position: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
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
