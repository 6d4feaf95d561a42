/** A toy: a resource that does something of everything, in this one file. `resources: [kettles]` serves it. */
import { setTimeout as pause } from 'node:timers/promises';
import { defineKind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { boolean, integer, object, string, type ValueOf } from '../../../api/schema.ts';
import { ApiError, badRequest } from '../../../api/status.ts';
import type { Strategy } from '../strategy.ts';

const schema = object(
  { spec: object({ litres: integer({ default: 1 }), serial: string() }), status: object({ degrees: integer() }) },
  { required: ['spec'] },
);

export interface Kettle extends KubeObject, ValueOf<typeof schema> {}

export const KettleKind = defineKind<Kettle>({
  group: 'kitchen.example.dev',
  version: 'v1',
  kind: 'Kettle',
  schema,
});

export const kettle = (name: string): Kettle => ({
  apiVersion: 'kitchen.example.dev/v1',
  kind: 'Kettle',
  metadata: { name, namespace: 'default' },
  spec: {},
});

/** What is sent to, and answered by, the subresource `boil`. */
const BoilKind = {
  group: 'kitchen.example.dev',
  version: 'v1',
  kind: 'Boil',
  schema: object({ spec: object({ degrees: integer() }), status: object({ isHot: boolean() }) }),
};

export const kettles: Strategy<Kettle> = {
  kind: KettleKind,
  selectableFields: { 'spec.serial': '' },
  prepareForCreate(kettle, { user }) {
    kettle.spec.serial = `made-for-${user.name}`;
    kettle.status = { degrees: 20 };
  },
  prepareForUpdate(kettle, { spec: { serial } }) {
    if (serial !== undefined) kettle.spec.serial = serial;
  },
  prepareForDelete({ metadata: { name } }) {
    if (name === 'heirloom') throw new ApiError(403, 'Forbidden', 'the heirloom is not thrown away');
  },
  graceOf: ({ spec: { litres = 1 } }, { gracePeriodSeconds }) => gracePeriodSeconds ?? litres,
  finalizersOf: ({ status }) => ((status?.degrees ?? 0) > 50 ? ['kitchen.example.dev/hot'] : []),
  subresources: {
    boil: {
      type: 'action',
      verbs: ['create'],
      kind: BoilKind,
      async run(body, { user, resource, namespace, name }, pipeline) {
        const { degrees } = (body as { spec?: { degrees?: unknown } } | null)?.spec ?? {};
        if (typeof degrees !== 'number') throw badRequest('spec.degrees says how hot it is to be');
        const status = { user, verb: 'patch' as const, resource, namespace, name, subresource: 'status' };
        await pipeline.patch(status, { type: 'merge', patch: { status: { degrees } } }, {});
        const isHot = degrees > 50;
        return {
          apiVersion: 'kitchen.example.dev/v1',
          kind: 'Boil',
          metadata: { name },
          status: { isHot },
        } as KubeObject;
      },
    },
    whistle: {
      type: 'stream',
      verbs: ['get'],
      async serve() {
        throw badRequest('one whistles with `Upgrade: whistle`');
      },
      async upgrade({ user }, { query, socket, head }) {
        if (query.get('tune') !== 'high') throw badRequest('the tune is high');
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: whistle\r\n\r\n');
        socket.write(`${user.name} `);
        socket.unshift(head);
        for await (const chunk of socket) {
          if (`${chunk}` === 'burst') throw new Error('the whistle burst');
          socket.write(`${chunk}`.toUpperCase());
        }
        socket.end();
      },
    },
    steam: {
      type: 'stream',
      verbs: ['get'],
      async serve({ exchange: { response, signal } }) {
        response.writeHead(200, { 'content-type': 'text/plain' });
        while (!signal.aborted) {
          response.write('~');
          await pause(1, undefined, { signal }).catch(() => {}); // The client has gone.
        }
        response.end();
      },
    },
  },
};
