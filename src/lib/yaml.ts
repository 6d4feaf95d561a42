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
  intYaml11Tag,
  mergeTag,
  parseEvents,
  YAMLException,
} from 'js-yaml';
import { documentLines, type LineNode, nearestLine } from './yaml-lines.ts';

/** Kubernetes reads YAML 1.1 scalars (`0644` is octal, `yes` is true) but leaves dates as strings, as JSON has none. */
const schema = CORE_SCHEMA.withTags(boolYaml11Tag, intYaml11Tag, mergeTag);

/** Aliases may add this many characters to what the text itself holds: an API server takes no object of that size. */
const aliasedCharsMax = 4 << 20;
/** How deep collections nest, those that aliases bring included: whoever walks the value may do so recursively. */
const depthMax = 100;

export interface YamlDocument {
  value: unknown;
  /** The line (from 1) where the field at `path` stands, for example `spec.traffic[1].percent`; else its parent's. */
  lineOf(path: string): number;
}

/** A syntax error in YAML; the message starts with `file:line:column`. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

/**
 * All documents of a YAML stream, without the empty ones. Throws YamlError naming `file`, line and column. What comes
 * of it is a tree of bounded size and depth, whatever the aliases say.
 */
export function parseYaml(text: string, file: string): YamlDocument[] {
  try {
    const events = parseEvents(text, { filename: file, maxDepth: depthMax });
    checkAliases(events, text, file);
    const values = constructFromEvents(events, { source: text, schema, filename: file });
    let lines: LineNode[] | undefined; // Found when the first error asks: most documents have none.
    const lineOf = (i: number) => (path: string) => {
      lines ??= documentLines(events, text);
      return nearestLine(lines[i], path);
    };
    return values
      .map((value, i) => ({ value, lineOf: lineOf(i) }))
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

/** What a value holds once its aliases are replaced by what they stand for. */
interface Extent {
  /** Characters of its scalars, and one for each value. */
  chars: number;
  /** Collections in each other; 0 of a scalar. */
  height: number;
}

/**
 * An alias stands for its anchor's value, which may hold aliases: ten lines can say more than any memory holds. Nothing
 * is expanded here, only counted. Throws YAMLException at the alias that goes too far.
 */
function checkAliases(events: readonly Event[], text: string, file: string): void {
  if (!events.some((event) => event.type === EVENT_ALIAS)) return;
  let anchors = new Map<string, Extent | 'open'>();
  let aliasedChars = 0;
  const open: (Extent & { anchor: string })[] = [];
  const close = (anchor: string, extent: Extent) => {
    if (anchor !== '') anchors.set(anchor, extent);
    const parent = open.at(-1);
    if (!parent) return;
    parent.chars += extent.chars;
    parent.height = Math.max(parent.height, extent.height + 1);
  };
  for (const event of events) {
    if (event.type === EVENT_DOCUMENT) {
      anchors = new Map();
      open.push({ anchor: '', chars: 0, height: 0 });
    } else if (event.type === EVENT_SEQUENCE || event.type === EVENT_MAPPING) {
      const anchor = event.anchorStart < 0 ? '' : text.slice(event.anchorStart, event.anchorEnd);
      if (anchor !== '') anchors.set(anchor, 'open');
      open.push({ anchor, chars: 1, height: 1 });
    } else if (event.type === EVENT_SCALAR) {
      const anchor = event.anchorStart < 0 ? '' : text.slice(event.anchorStart, event.anchorEnd);
      close(anchor, { chars: 1 + event.valueEnd - event.valueStart, height: 0 });
    } else if (event.type === EVENT_ALIAS) {
      const name = text.slice(event.anchorStart, event.anchorEnd);
      const refuse = (why: string) => YAMLException.throwAt(text, event.anchorStart - 1, why, file);
      const extent = anchors.get(name);
      if (extent === undefined) refuse(`there is no anchor &${name} before the alias *${name}`);
      else if (extent === 'open') refuse(`the alias *${name} stands for a value that holds it`);
      else {
        aliasedChars += extent.chars;
        if (aliasedChars > aliasedCharsMax)
          refuse(`with the alias *${name}, aliases stand for more than ${aliasedCharsMax} characters: write them out`);
        if (open.length - 1 + extent.height > depthMax)
          refuse(`with the alias *${name}, collections nest deeper than ${depthMax}`);
        close('', extent);
      }
    } else if (event.type === EVENT_POP) {
      const { anchor, ...extent } = open.pop() ?? { anchor: '', chars: 0, height: 0 };
      close(anchor, extent);
    }
  }
}
