import type { Pod } from '../../../api/core/pod.ts';
import type { CoreService } from '../../../api/core/service.ts';
import type { Client } from '../../../kube/client.ts';
import type { Informer } from '../../../kube/informer.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Quarantine } from '../../../lib/quarantine.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Credentials } from '../../../registry/auth.ts';
import type { Driver } from '../driver.ts';
import type { EventRecorder } from '../events.ts';
import type { Files } from '../images/files.ts';
import type { ImageStore } from '../images/store.ts';
import type { LogFiles } from '../logs/log-files.ts';
import type { NodeMetrics } from '../metrics.ts';
import type { Host } from './environment.ts';
import type { VolumeRefresher } from './volumes/refresher.ts';

/** The credentials of whose machine it is, for images of a repository. */
export type MachineCredentials = (image: { host: string; name: string }) => Promise<Credentials[]>;

/** What all pods of the node share. */
export interface NodeContext {
  client: Client;
  clock: Clock;
  log: Logger;
  nodeName: string;
  driver: Driver;
  /** Its ways to run pods, each a RuntimeClass of that name. */
  runtimeClasses: readonly string[];
  images: ImageStore;
  /** What this machine's user has for a registry. */
  machineCredentials: MachineCredentials | undefined;
  logs: LogFiles;
  events: EventRecorder;
  metrics: NodeMetrics | undefined;
  files: Files;
  /** What has ended the process twice is not started. */
  quarantine: Quarantine;
  host: Host;
  /** `volumes/` of the node. */
  volumesDir: string;
  refresher: VolumeRefresher;
  services: Informer<CoreService>;
  /** Takes what is ready for a pod that begins now; resolves when it is the pod's, or gone. */
  handOver(pod: Pod): Promise<void>;
}
