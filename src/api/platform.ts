import { BuildKind } from './build/build.ts';
import { BrokerKind } from './eventing/broker.ts';
import { TriggerKind } from './eventing/trigger.ts';
import type { Kind } from './kind.ts';
import { IngressKind } from './networking/ingress.ts';
import { ConfigurationKind } from './serving/configuration.ts';
import { PodAutoscalerKind } from './serving/pod-autoscaler.ts';
import { RevisionKind } from './serving/revision.ts';
import { RouteKind } from './serving/route.ts';
import { ServiceKind } from './serving/service.ts';
import { PingSourceKind } from './sources/ping-source.ts';
import { SinkBindingKind } from './sources/sink-binding.ts';

export const servingKinds: readonly Kind[] = [
  ServiceKind,
  ConfigurationKind,
  RevisionKind,
  RouteKind,
  PodAutoscalerKind,
  IngressKind,
];

export const buildKinds: readonly Kind[] = [BuildKind];

export const eventingKinds: readonly Kind[] = [BrokerKind, TriggerKind, PingSourceKind, SinkBindingKind];

/** The kinds of the platform itself, which any Kubernetes learns of by CustomResourceDefinitions. */
export const platformKinds: readonly Kind[] = [...buildKinds, ...servingKinds, ...eventingKinds];
