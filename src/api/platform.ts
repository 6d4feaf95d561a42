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

/** The kinds of the platform itself, which the server installs as CustomResourceDefinitions at start. */
export const platformKinds: readonly Kind[] = [
  BuildKind,
  ServiceKind,
  ConfigurationKind,
  RevisionKind,
  RouteKind,
  PodAutoscalerKind,
  IngressKind,
  BrokerKind,
  TriggerKind,
  PingSourceKind,
  SinkBindingKind,
];
