import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import { kindOfDefinition } from '../../../api/apiextensions/kind-of-definition.ts';
import type { Kind } from '../../../api/kind.ts';
import { keyOf } from '../../../api/meta.ts';
import type { Controller, ControllerContext } from '../../../kube/reconciler.ts';
import { ownableKinds } from '../kinds.ts';
import { kubeController } from '../users.ts';
import { GarbageCollector } from './collector.ts';

/** Feeds one collector with the objects of every kind: those of any Kubernetes, and each that a definition adds. */
export function garbageCollector(): Controller<CustomResourceDefinition> {
  let follow = (_kind: Kind) => () => {};
  /** By the definition's name: the version that is followed. */
  const custom = new Map<string, { version: string; stop: () => void }>();
  const unfollow = (name: string) => {
    custom.get(name)?.stop();
    custom.delete(name);
  };
  return {
    name: 'garbage-collector',
    user: kubeController('generic-garbage-collector'),
    kind: CustomResourceDefinitionKind,
    start(context) {
      follow = following(new GarbageCollector(context), context);
      for (const kind of ownableKinds) follow(kind);
    },
    async reconcile(definition) {
      const { name } = definition.metadata;
      const kind = kindOfDefinition(definition);
      if (custom.get(name)?.version === kind?.version) return;
      unfollow(name);
      if (kind) custom.set(name, { version: kind.version, stop: follow(kind) });
    },
    onGone: ({ name }) => unfollow(name),
  };
}

const following = (collector: GarbageCollector, context: ControllerContext) => (kind: Kind) =>
  context.follow(kind, (type, object) => {
    if (type === 'DELETED') collector.gone(kind, keyOf(object));
    else collector.observe(kind, object);
  });
