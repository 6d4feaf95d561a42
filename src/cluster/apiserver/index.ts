import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Configuration, type Kind, noConfiguration } from '../../api/kind.ts';
import type { UserInfo } from '../../api/user.ts';
import type { Admission } from '../../kube/admission.ts';
import type { Client } from '../../kube/client.ts';
import { install } from '../../kube/install.ts';
import type { Clock } from '../../lib/clock.ts';
import { makeFolder, replaceFile, syncFolder } from '../../lib/durable.ts';
import type { ListenHandle } from '../../observe/listen.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { ExpectedPods } from '../expected-pods.ts';
import type { PodLogs } from '../pod-logs.ts';
import type { PodStreams } from '../pod-streams.ts';
import type { UsageReader } from '../pod-usage.ts';
import { apiAddress, defaultServiceNetwork, type ServiceNetwork } from '../service-network.ts';
import { storeErrors } from '../store/errors.ts';
import { Store, type StoreOptions } from '../store/store.ts';
import { allowAuthenticated, type Policy } from './authorize.ts';
import { inProcessClient } from './client.ts';
import type { ConversionOf } from './crds/custom-resources.ts';
import { type Listener, startListener } from './http/listener.ts';
import { ServiceAccountTokens } from './identity/service-account-tokens.ts';
import type { Machinery } from './machinery.ts';
import { RequestPipeline } from './pipeline.ts';
import { RbacAuthorizer } from './rbac/authorizer.ts';
import { escalationCheck } from './rbac/escalation.ts';
import { installDefaults } from './rbac/install-defaults.ts';
import { apiServerUser } from './request-info.ts';
import { ResourceRegistry } from './resource-registry.ts';
import type { Pipeline } from './resources.ts';
import { tableName } from './served-resource.ts';
import { builtinStrategies } from './strategies/builtin.ts';
import type { Strategy } from './strategy.ts';
import { keepSystemServices, kubernetesService, type SystemService } from './system-services.ts';

export type { SystemService } from './system-services.ts';

/** Any Kubernetes has these. */
const defaultNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export interface ApiServerOptions {
  /** The store is `cluster/store.db` in it. */
  dataDir: string;
  clock: Clock;
  log: Logger;
  /** Kinds of the platform, installed as CustomResourceDefinitions. */
  kinds: readonly Kind[];
  /** Namespaces to make besides those of any Kubernetes. */
  namespaces?: readonly string[];
  /** An upper limit on the size of the store, in pages of 4096 bytes; only the disk's unless given. */
  storePagesMax?: number;
  /** Resources besides those that Kubernetes has by itself. */
  resources?: readonly Strategy[];
  /** Who may do what; everybody who has shown who they are may do everything unless given. */
  policy?: Policy;
  /** Roles and their bindings say who may do what, instead of `policy`; these users are the platform's own parts. */
  rbac?: { platformUsers: readonly string[] } | undefined;
  /** For definitions whose versions differ in more than their names. */
  conversionOf?: ConversionOf;
  /** Asked at each write for the plugins that see it, in their order; none unless given. */
  admission?: () => readonly Admission[];
  /** Asked at each write for what kinds are configured with; nothing unless given. */
  config?: () => Configuration;
  /** Pods whose UIDs are known before they are created. */
  expectedPods?: ExpectedPods;
  metrics?: Metrics;
  /** Of Services; the usual one unless given. */
  serviceNetwork?: ServiceNetwork;
  /** Where `kubectl logs` gets them from. */
  podLogs?: PodLogs;
  /** What runs in pods: for `kubectl exec`, `attach` and `port-forward`. */
  podStreams?: PodStreams;
  /** What pods use of the machine: for `kubectl top`. */
  usage?: UsageReader;
  /** Makes the store's writer; a thread unless given. */
  startWriter?: StoreOptions['startWriter'];
}

export interface ApiAddress {
  /** Loopback unless given. */
  host?: string;
  /** 0: any free one. */
  port: number;
  /** A bound socket to listen on instead, which outlives this process. */
  handle?: ListenHandle | undefined;
}

export interface ApiServer {
  /** Acts as the server itself. */
  client: Client;
  /** A client of this process that acts as `user`. */
  clientFor(user: UserInfo): Client;
  /** What is behind the door. */
  pipeline: Pipeline;
  /** Keeps Services for what of the platform is no pod, as long as the server runs. */
  keep(services: readonly SystemService[]): Promise<void>;
  /** Serves the API over TLS. Errors: PORT_IN_USE. */
  listen(where: ApiAddress): Promise<{ url: string; kubeconfigPath: string }>;
  stop(): Promise<void>;
}

/**
 * Opens the embedded cluster's API over the store in `dataDir`. When it resolves, `client` works and all of `kinds` is
 * served. Errors: STORE_IN_USE, STORE_TOO_NEW, DISK_FULL.
 */
export async function openApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const {
    dataDir,
    clock,
    log,
    kinds,
    conversionOf,
    policy = allowAuthenticated,
    admission = () => [],
    config = () => noConfiguration,
    metrics,
    podLogs,
    podStreams,
    usage,
  } = options;
  const folder = join(dataDir, 'cluster');
  makeFolder(folder);
  const { storePagesMax } = options;
  const file = join(folder, 'store.db');
  requireStore(file);
  const store = await Store.open({
    file,
    clock,
    log,
    metrics,
    startWriter: options.startWriter,
    ...(storePagesMax === undefined ? {} : { pagesMax: storePagesMax }),
  });
  noteStore(file);
  const tokens = new ServiceAccountTokens({
    keyFile: join(dataDir, 'pki', 'service-accounts.key'),
    clock,
    find: (plural, key) => store.table(tableName({ group: '', plural })).get(key)?.object,
  });
  const { serviceNetwork = defaultServiceNetwork } = options;
  const rbac = options.rbac && new RbacAuthorizer(store);
  const own = rbac ? [escalationCheck(rbac)] : [];
  const builtin = builtinStrategies({
    clock,
    conversionOf,
    kinds,
    podLogs,
    podStreams,
    rbac,
    serviceNetwork,
    tokens,
    usage,
  });
  const resources = [...builtin, ...(options.resources ?? [])];
  const machinery: Machinery = {
    store,
    registry: new ResourceRegistry(resources),
    policy: rbac?.policy ?? policy,
    admission: () => [...own, ...admission()],
    config,
    claimUid: (uid) => options.expectedPods?.claim(uid) ?? false,
    clock,
    log,
  };
  const pipeline = new RequestPipeline(machinery);
  const clientFor = (user: UserInfo) => inProcessClient({ pipeline, user, log });
  const client = clientFor(apiServerUser);
  const upkeeps = resources.flatMap((strategy) => strategy.upkeep?.(machinery, pipeline) ?? []);
  const listeners: Listener[] = [];
  const keepers: (() => void)[] = [];
  const stop = async () => {
    for (const end of keepers) end();
    rbac?.stop();
    await Promise.all(listeners.map((listener) => listener.stop()));
    await Promise.all(upkeeps.map((upkeep) => upkeep.stop()));
    await store.close();
  };
  try {
    await install(client, kinds, [...defaultNamespaces, ...(options.namespaces ?? [])]);
    if (options.rbac) await installDefaults(client, { ...options.rbac, kinds });
    await Promise.all(upkeeps.map((upkeep) => upkeep.settled?.()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    client,
    clientFor,
    pipeline,
    async keep(services) {
      keepers.push(await keepSystemServices(client, services, { clock, log }));
    },
    async listen(where) {
      const alsoAt = [apiAddress(serviceNetwork)];
      const listener = await startListener({ pipeline, tokens, dataDir, clock, log, metrics, alsoAt, ...where });
      listeners.push(listener);
      keepers.push(await keepSystemServices(client, [kubernetesService(new URL(listener.url))], { clock, log }));
      return listener;
    },
    stop,
  };
}

const noteOf = (file: string) => `${file}.made`;

/** A store that was there and is not is no new one: all that the others keep for its objects would be cleaned up. */
function requireStore(file: string): void {
  if (existsSync(file) || !existsSync(noteOf(file))) return;
  const why = 'it is missing: put it back, or remove the whole data folder to begin anew';
  throw storeErrors.STORE_FAILED({ file, why });
}

/** Notes, once the store is there for good, that it has been made. */
function noteStore(file: string): void {
  if (existsSync(noteOf(file))) return;
  syncFolder(dirname(file));
  replaceFile(noteOf(file), 'the store beside this file has been made\n');
}
