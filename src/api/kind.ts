import type { FieldError } from './field-error.ts';
import type { KubeObject } from './meta.ts';
import type { Schema } from './schema.ts';
import type { UserInfo } from './user.ts';

/** One resource of the API: everything that the server, kubectl and the controllers need to know of it. */
export interface Kind<T extends KubeObject = KubeObject> {
  /** '' for the core group. */
  group: string;
  version: string;
  kind: string;
  plural: string;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  isNamespaced: boolean;
  /** Names are any segment of a path, where those of other kinds are DNS subdomains. */
  isPathNamed?: boolean;
  /** The structural schema of spec, status and other top-level fields; apiVersion, kind and metadata are implied. */
  schema: Schema;
  hasStatus: boolean;
  scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  /** What `kubectl get` shows after NAME; AGE only where it is one of them, or where there are none. */
  columns: readonly PrinterColumn[];
  /** Fills what the schema's `default`s cannot say; changes `object`. Runs on create and update, before `validate`. */
  setDefaults?(object: T, context: KindContext<T>): void;
  /** What the schema cannot say; pure. */
  validate?(object: T, context: KindContext<T>): FieldError[];
}

/** What a kind may want to know beyond the object when it fills in defaults and judges. A kind names what it uses. */
export interface KindContext<T extends KubeObject = KubeObject> {
  /** The object before, on update: the stored one, or what an admission plugin was shown and has changed. */
  old?: T | undefined;
  /** The stored object, where `old` is what an admission plugin was shown. */
  stored?: T | undefined;
  /** Who writes the object; nobody where a controller works out what would be stored. */
  user?: UserInfo | undefined;
  config: Configuration;
}

/** ConfigMaps by `namespace/name`, as data: `config['knative-serving/config-features']?.multicontainer`. */
export type Configuration = Readonly<Partial<Record<string, Readonly<Record<string, string>>>>>;

/** Nothing is configured. */
export const noConfiguration: Configuration = {};

export interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  /** For example `.status.conditions[?(@.type=="Ready")].status`. */
  jsonPath: string;
  /** 0 is always shown; above 0 only with `-o wide`. */
  priority?: number;
  description?: string;
}

/** What a condition says, and why. */
export const conditionColumns = (type: string): PrinterColumn[] => [
  { name: type, type: 'string', jsonPath: `.status.conditions[?(@.type=='${type}')].status` },
  { name: 'Reason', type: 'string', jsonPath: `.status.conditions[?(@.type=='${type}')].reason` },
];

export const ageColumn: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** `group/version`, or `version` for the core group. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** What objects say to name a kind; without a version, whichever the server prefers is meant. */
export interface KindReference {
  group: string;
  version?: string;
  kind: string;
}

/** The kind that `apiVersion` and `kind` name. */
export function referenceTo({ apiVersion, kind }: { apiVersion: string; kind: string }): Required<KindReference> {
  const slash = apiVersion.indexOf('/');
  return { group: apiVersion.slice(0, Math.max(slash, 0)), version: apiVersion.slice(slash + 1), kind };
}

/** Defines a kind with the usual values for what is left out. */
export function defineKind<T extends KubeObject>(
  kind: Pick<Kind<T>, 'group' | 'version' | 'kind'> & Partial<Kind<T>> & { schema: Schema<Omit<T, keyof KubeObject>> },
): Kind<T> {
  const singular = kind.singular ?? kind.kind.toLowerCase();
  return {
    singular,
    plural: `${singular}s`,
    shortNames: [],
    categories: [],
    isNamespaced: true,
    hasStatus: true,
    columns: [],
    ...kind,
  };
}
