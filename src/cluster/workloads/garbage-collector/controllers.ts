import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import { kindOfDefinition } from '../../../api/apiextensions/kind-of-definition.ts';
import { builtinKinds } from '../../../api/builtin.ts';
import type { Kind } from '../../../api/kind.ts';
import { type KubeObject, keyOf } from '../../../api/meta.ts';
import { Informer } from '../../../kube/informer.ts';
import type { Controller, ReconcileContext } from '../../../kube/reconciler.ts';
import { groupKind, ownableKinds } from '../kinds.ts';
import { GarbageCollector } from './collector.ts';

/** One controller for each kind, all feeding one collector; kinds of other CustomResourceDefinitions join later. */
export function garbageCollectors(): Controller[] {
  let collector: GarbageCollector | undefined;
  const collectorIn = (context: ReconcileContext) => {
    collector ??= new GarbageCollector(context);
    return collector;
  };
  return [
    ...ownableKinds.map(
      (kind): Controller => ({
        name: `garbage-collector-${kind.plural}`,
        kind,
        async reconcile(object, context) {
          collectorIn(context).observe(kind, object);
        },
        onGone: (key) => collector?.gone(kind, key),
      }),
    ),
    customKinds(collectorIn),
  ];
}

function customKinds(collectorIn: (context: ReconcileContext) => GarbageCollector): Controller {
  const known = new Set(builtinKinds.map(groupKind));
  const informers = new Map<string, Informer<KubeObject>>();
  const follow = (kind: Kind, context: ReconcileContext) => {
    const collector = collectorIn(context);
    const informer = new Informer(context.client, kind, { clock: context.clock, log: context.log });
    informer.onChange((type, object) => {
      if (type === 'DELETED') collector.gone(kind, keyOf(object));
      else collector.observe(kind, object);
    });
    // Never rejects.
    context.signal.addEventListener('abort', () => void informer.stop(), { once: true });
    informer.start();
    return informer;
  };
  const controller: Controller<CustomResourceDefinition> = {
    name: 'garbage-collector-definitions',
    kind: CustomResourceDefinitionKind,
    async reconcile(definition, context) {
      const kind = kindOfDefinition(definition);
      const { name } = definition.metadata;
      if (!kind || known.has(groupKind(kind)) || informers.has(name)) return;
      informers.set(name, follow(kind, context));
    },
    onGone({ name }) {
      void informers.get(name)?.stop(); // Never rejects.
      informers.delete(name);
    },
  };
  return controller;
}
