import { ApiError } from '../../../api/status.ts';
import type { JsonPatchOperation } from '../../../kube/client.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { copyJson, isJsonObject, type JsonObject, setField } from '../schema/json.ts';

/** As in Kubernetes: longer patches are refused, and copies may not make an object explode. */
const operationsMax = 10_000;
const copiesMax = 1000;

/** A JSON Patch (RFC 6902) applied to a copy of `document`. 422 when an operation cannot be done or a test fails. */
export function applyJsonPatch(document: unknown, operations: readonly JsonPatchOperation[]): unknown {
  if (operations.length > operationsMax)
    refuse(`the patch has ${operations.length} operations: at most ${operationsMax}`);
  if (operations.filter((operation) => operation.op === 'copy').length > copiesMax) {
    refuse(`the patch has more than ${copiesMax} copy operations`);
  }
  const root: JsonObject = { document: copyJson(document) };
  for (const operation of operations) applyOperation(root, operation);
  return root.document;
}

function applyOperation(root: JsonObject, operation: JsonPatchOperation): void {
  const { op } = operation;
  if (op === 'add') add(root, operation.path, copyJson(operation.value));
  else if (op === 'remove') remove(root, operation.path);
  else if (op === 'replace') {
    const { parent, token } = locate(root, operation.path);
    read(parent, token, operation.path);
    if (Array.isArray(parent)) parent[Number(token)] = copyJson(operation.value);
    else setField(parent, token, copyJson(operation.value));
  } else if (op === 'test') {
    if (!sameJson(valueAt(root, operation.path), operation.value ?? null)) {
      refuse(`testing path ${operation.path} failed: the value is not the one expected`);
    }
  } else if (op === 'copy') {
    add(root, operation.path, copyJson(valueAt(root, operation.from)));
  } else if (op === 'move') {
    if (operation.path.startsWith(`${operation.from}/`)) refuse(`cannot move ${operation.from} into itself`);
    const value = valueAt(root, operation.from);
    remove(root, operation.from);
    add(root, operation.path, value);
  } else {
    refuse(`unknown operation ${JSON.stringify((operation as { op: unknown }).op)}`);
  }
}

type Container = JsonObject | unknown[];

function add(root: JsonObject, path: string, value: unknown): void {
  const { parent, token } = locate(root, path);
  if (!Array.isArray(parent)) {
    setField(parent, token, value);
    return;
  }
  const at = token === '-' ? parent.length : indexOf(token, path);
  if (at > parent.length) refuse(`path ${path} is beyond the end of the list`);
  parent.splice(at, 0, value);
}

function remove(root: JsonObject, path: string): void {
  const { parent, token } = locate(root, path);
  read(parent, token, path);
  if (Array.isArray(parent)) parent.splice(indexOf(token, path), 1);
  else delete parent[token];
}

function valueAt(root: JsonObject, path: string): unknown {
  const { parent, token } = locate(root, path);
  return read(parent, token, path);
}

/** The container that holds what `path` names, and its key there. */
function locate(root: JsonObject, path: string): { parent: Container; token: string } {
  const tokens = ['document', ...tokensOf(path)];
  const token = tokens.pop() ?? '';
  let parent: Container = root;
  for (const step of tokens) {
    const child = read(parent, step, path);
    if (!Array.isArray(child) && !isJsonObject(child)) refuse(`path ${path} does not exist`);
    parent = child;
  }
  return { parent, token };
}

function read(container: Container, token: string, path: string): unknown {
  if (Array.isArray(container)) {
    const at = indexOf(token, path);
    if (at >= container.length) refuse(`path ${path} does not exist`);
    return container[at];
  }
  if (!Object.hasOwn(container, token)) refuse(`path ${path} does not exist`);
  return container[token];
}

function tokensOf(path: string): string[] {
  if (typeof path !== 'string') refuse('an operation needs a path');
  if (path === '') return [];
  if (!path.startsWith('/')) refuse(`path ${JSON.stringify(path)} does not begin with "/"`);
  return path
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function indexOf(token: string, path: string): number {
  if (!/^(0|[1-9]\d*)$/.test(token)) refuse(`path ${path} has ${JSON.stringify(token)} where a list needs an index`);
  return Number(token);
}

function refuse(why: string): never {
  throw new ApiError(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`);
}
