import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { defineKind, type Kind } from '../../../api/kind.ts';
import { conditionsSchema, type KubeObject } from '../../../api/meta.ts';
import { anything, array, integer, intOrString, map, object, string } from '../../../api/schema.ts';
import { authenticatedGroup } from '../../../api/user.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { type ApiServer, type ApiServerOptions, openApiServer } from '../index.ts';
import type { NamedRequest, RequestInfo, Verb } from '../request-info.ts';

export interface Widget extends KubeObject {
  spec: {
    size?: number;
    colour?: string;
    port?: number | string;
    tags?: Record<string, string>;
    parts?: { name: string; count?: number }[];
    free?: Record<string, unknown>;
    note?: string | null;
    replicas?: number;
  };
  status?: { ready?: number; selector?: string };
}

/** A custom kind that has a bit of everything. */
export const WidgetKind = defineKind<Widget>({
  group: 'test.kittiwake.dev',
  version: 'v1',
  kind: 'Widget',
  shortNames: ['wd'],
  schema: object(
    {
      spec: object(
        {
          size: integer({ minimum: 1, maximum: 100, default: 10 }),
          colour: string({ enum: ['red', 'green'] }),
          port: intOrString(),
          tags: map(),
          parts: array(object({ name: string(), count: integer({ default: 1 }) }, { required: ['name'] }), {
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
            maxItems: 3,
          }),
          free: anything(),
          note: string({ nullable: true }),
          replicas: integer(),
        },
        {},
      ),
      status: object({ ready: integer(), selector: string(), conditions: conditionsSchema }),
    },
    { required: ['spec'] },
  ),
  scale: {
    specReplicasPath: '.spec.replicas',
    statusReplicasPath: '.status.ready',
    labelSelectorPath: '.status.selector',
  },
});

export const widget = (name: string, spec: Widget['spec'] = {}): Widget => ({
  apiVersion: 'test.kittiwake.dev/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'default' },
  spec,
});

export interface OpenApi {
  api: ApiServer;
  clock: VirtualClock;
  dataDir: string;
}

/** The API server on a folder of its own, with Widgets, on a virtual clock; closed and removed after the test. */
export async function openApi(t: TestContext, options: Partial<ApiServerOptions> = {}): Promise<OpenApi> {
  const dataDir = await mkdtemp(join(tmpdir(), 'kittiwake-api-'));
  const clock = new VirtualClock();
  const kinds = [WidgetKind];
  const api = await openApiServer({ dataDir, clock, log: silentLogger, kinds, ...options });
  t.after(async () => {
    await api.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  return { api, clock, dataDir };
}

/** A request of a user about all of `kind`, in the namespace `default` where there are namespaces. */
export function asking<T extends KubeObject>({ pipeline }: ApiServer, kind: Kind<T>, verb: Verb): RequestInfo {
  const resource = pipeline.resources.find(kind.group, kind.version, kind.plural);
  assert.ok(resource, `${kind.plural} are served`);
  const user = { name: 'test', groups: ['system:masters', authenticatedGroup] };
  return { user, verb, resource, ...(resource.kind.isNamespaced && { namespace: 'default' }) };
}

/** A request of a user about one object. */
export const askingFor = <T extends KubeObject>(
  api: ApiServer,
  kind: Kind<T>,
  verb: Verb,
  name: string,
): NamedRequest => ({ ...asking(api, kind, verb), name });
