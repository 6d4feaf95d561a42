import { ApiError } from '../../../api/status.ts';
import type { JsonPatchOperation } from '../../../kube/client.ts';
import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { copyJson, depthMax, measureJson, setField } from '../schema/json.ts';

/** As in Kubernetes: longer patches are refused, and copies may not make an object explode. */
const operationsMax = 10_000;
const copiedBytesMax = 3 * 1024 * 1024;
/** How much may be moved, and moved along in lists by inserts and removals, in all: a few tenths of a second's work. */
const shiftedMax = 50_000_000;

/** What a patch has used up of its limits. */
interface Budget {
  copiedBytes: number;
  shifted: number;
}

/**
 * A JSON Patch (RFC 6902) applied to a copy of `document`. 422 when an operation cannot be done, a test fails, or the
 * copies grow beyond bounds; 413 for too many operations.
 */
export function applyJsonPatch(document: unknown, operations: readonly JsonPatchOperation[]): unknown {
  if (operations.length > operationsMax) {
    const why = `The allowed maximum operations in a JSON patch is ${operationsMax}, got ${operations.length}`;
    throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: ${why}`);
  }
  const root: JsonObject = { document: copyJson(document) };
  const budget: Budget = { copiedBytes: 0, shifted: 0 };
  for (const operation of operations) {
    if (!isJsonObject(operation)) refuse('an operation must be an object');
    applyOperation(root, operation, budget);
  }
  return root.document;
}

function applyOperation(root: JsonObject, operation: JsonPatchOperation, budget: Budget): void {
  const { op } = operation;
  if (op === 'add') add(root, operation.path, copyJson(operation.value), budget);
  else if (op === 'remove') remove(root, operation.path, budget);
  else if (op === 'replace') {
    const { parent, token } = locate(root, operation.path);
    read(parent, token, operation.path);
    setField(parent as JsonObject, token, copyJson(operation.value)); // Of a list, too: the token is an index by now.
  } else if (op === 'test') {
    if (!sameJson(valueAt(root, operation.path), operation.value ?? null)) {
      refuse(`testing path ${operation.path} failed: the value is not the one expected`);
    }
  } else if (op === 'copy') {
    const value = valueAt(root, operation.from);
    const { bytes } = requireShallow(value, operation.path, copiedBytesMax);
    budget.copiedBytes += bytes;
    if (budget.copiedBytes > copiedBytesMax) {
      const what = `the accumulated size increase of copy is ${budget.copiedBytes}, exceeding the limit`;
      refuse(`Unable to complete the copy, ${what} ${copiedBytesMax}`);
    }
    add(root, operation.path, copyJson(value), budget);
  } else if (op === 'move') {
    if (`${operation.path}`.startsWith(`${operation.from}/`)) refuse(`cannot move ${operation.from} into itself`);
    const value = valueAt(root, operation.from);
    shift(budget, requireShallow(value, operation.path, shiftedMax).bytes);
    remove(root, operation.from, budget);
    add(root, operation.path, value, budget);
  } else {
    refuse(`unknown operation ${JSON.stringify((operation as { op: unknown }).op)}`);
  }
}

/** 422 when a value, put where the path says, would nest deeper than any object may. */
function requireShallow(value: unknown, path: string, bytesMax: number): { bytes: number } {
  const measured = measureJson(value, bytesMax);
  if (measured.depth + tokensOf(path).length > depthMax)
    refuse(`path ${shortened(path)} is nested deeper than ${depthMax}`);
  return measured;
}

type Container = JsonObject | unknown[];

function add(root: JsonObject, path: string, value: unknown, budget: Budget): void {
  const { parent, token } = locate(root, path);
  if (!Array.isArray(parent)) {
    setField(parent, token, value);
    return;
  }
  const at = token === '-' ? parent.length : indexOf(token, path);
  if (at > parent.length) refuse(`path ${shortened(path)} is beyond the end of the list`);
  shift(budget, parent.length - at);
  parent.splice(at, 0, value);
}

function shift(budget: Budget, count: number): void {
  budget.shifted += count;
  if (budget.shifted > shiftedMax)
    refuse('the patch moves too much: its operations insert into or remove from long lists');
}

function remove(root: JsonObject, path: string, budget: Budget): void {
  const { parent, token } = locate(root, path);
  read(parent, token, path);
  if (Array.isArray(parent)) {
    const at = indexOf(token, path);
    shift(budget, parent.length - at);
    parent.splice(at, 1);
  } else delete parent[token];
}

function valueAt(root: JsonObject, path: string): unknown {
  const { parent, token } = locate(root, path);
  return read(parent, token, path);
}

/** The container that holds what `path` names, and its key there. */
function locate(root: JsonObject, path: string): { parent: Container; token: string } {
  let parent: Container = root;
  let token = 'document';
  for (const next of tokensOf(path)) {
    const child = read(parent, token, path);
    if (!Array.isArray(child) && !isJsonObject(child)) refuse(`path ${shortened(path)} does not exist`);
    parent = child;
    token = next;
  }
  return { parent, token };
}

function read(container: Container, token: string, path: string): unknown {
  if (Array.isArray(container)) indexOf(token, path);
  if (!Object.hasOwn(container, token)) refuse(`path ${shortened(path)} does not exist`);
  return (container as JsonObject)[token];
}

function tokensOf(path: string): string[] {
  if (typeof path !== 'string') refuse('an operation needs a path');
  if (path === '') return [];
  if (!path.startsWith('/')) refuse(`path ${JSON.stringify(path)} does not begin with "/"`);
  const tokens = path.slice(1).split('/');
  if (tokens.length > depthMax) refuse(`path ${shortened(path)} is nested deeper than ${depthMax}`);
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function indexOf(token: string, path: string): number {
  if (!/^(0|[1-9]\d*)$/.test(token))
    refuse(`path ${shortened(path)} has ${JSON.stringify(token)} where a list needs an index`);
  return Number(token);
}

const shortened = (path: string): string => (path.length > 100 ? `${path.slice(0, 100)}…` : path);

function refuse(why: string): never {
  throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`);
}
