import type { Kind } from '../api/kind.ts';
import type { UserInfo } from '../api/user.ts';
import type { Admission } from '../kube/admission.ts';
import type { Client } from '../kube/client.ts';
import type { Cache, Controller } from '../kube/reconciler.ts';
import type { Clock } from '../lib/clock.ts';
import type { Quarantine } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { RegistryClient } from '../registry/index.ts';

/** One part of the product as one value: its folder makes it, and the composition root lists it. */
export interface Feature {
  name: string;
  /** As whom its controllers, and what runs beside them, act. */
  user: UserInfo;
  /** What it adds to the API; served before its controllers start. */
  kinds: readonly Kind[];
  /** What it checks and changes of objects on their way in, beyond what their kinds do. */
  admission?(deps: AdmissionDeps): readonly Admission[];
  /** Run with those of all other features, over shared informers. */
  controllers(deps: FeatureDeps): readonly Controller[];
  /** What runs beside the controllers, on what they know. */
  beside?(deps: FeatureDeps & { cache: Cache }): Promise<{ stop(): Promise<void> }>;
  /** Where the operator's ConfigMaps for it stand; the namespace is there from the start. */
  config?: { namespace: string };
}

/** What every feature gets, whatever it runs on. */
export interface FeatureDeps {
  client: Client;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  quarantine: Quarantine;
  /** Knows where the platform's own registry really is. */
  registry: RegistryClient;
  settings: Settings;
  /** A folder for the feature's own files, made when it is not there. */
  folder(name: string): string;
}

export interface AdmissionDeps {
  /** A function, as the API server that calls the admission is also what the client talks to. */
  client: () => Client;
  settings: Settings;
}

/** Where the parts of the platform find one another. */
export interface Settings {
  /** Services get the host `NAME.NAMESPACE.<domain>`. */
  domain: string;
  /** The port of the gateway that clients outside use. */
  gatewayPort: number;
  /** Where other parts of the platform reach it. */
  gatewayUrl: string;
  /** Of the broker's ingress. */
  brokerUrl: string;
  /** Where gateways report demand. */
  autoscaler: { socketPath: string } | { port: number; host?: string };
}
