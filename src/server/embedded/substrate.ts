/** The embedded Kubernetes: API server, node agent and workload controllers in this process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { noConfiguration } from '../../api/kind.ts';
import { authenticatedGroup, serviceAccount, type UserInfo } from '../../api/user.ts';
import { podSecurityAdmission } from '../../cluster/admission/pod-security/pod-security.ts';
import { podSecuritySettings } from '../../cluster/admission/pod-security/settings.ts';
import { serviceAccountAdmission } from '../../cluster/admission/service-account.ts';
import { openApiServer } from '../../cluster/apiserver/index.ts';
import { ExpectedPods } from '../../cluster/expected-pods.ts';
import { NetworkOfPods } from '../../cluster/network/index.ts';
import { chooseDriver, startNodeAgent } from '../../cluster/node/index.ts';
import { workloadControllers } from '../../cluster/workloads/index.ts';
import { controllerManagerUser } from '../../cluster/workloads/users.ts';
import type { Feature } from '../../feature/feature.ts';
import type { Admission } from '../../kube/admission.ts';
import { type FollowedConfiguration, followConfiguration } from '../../kube/configuration.ts';
import { loopback } from '../../observe/listen.ts';
import { userCredentials } from '../../registry/index.ts';
import { namespacesOf, type Substrate, type SubstrateOptions } from '../substrate.ts';
import { nodeName } from './node-name.ts';
import { platformServices, serviceNetworkOf } from './platform-services.ts';
import { podNetworkPlan } from './pod-network.ts';

/** As Kubernetes knows its nodes. */
const nodeUser = (name: string): UserInfo => ({
  name: `system:node:${name}`,
  groups: ['system:nodes', authenticatedGroup],
});

/** Who is part of the platform: in this process, and in the roles beside it. */
const platformUsers = (features: readonly Feature[]): string[] => {
  const users = [nodeUser(nodeName), controllerManagerUser, ...features.map(({ user }) => user)];
  const controllers = workloadControllers({ claimsDir: '' }).flatMap(({ user }) => user ?? []);
  const roles = ['gateway', 'broker', 'network', 'registry'].map((role) => serviceAccount('kittiwake-system', role));
  return [...new Set([...users, ...controllers, ...roles].map(({ name }) => name))].sort();
};

export async function open(options: SubstrateOptions): Promise<Substrate> {
  const { clock, config, features, folder, log, metrics, quarantine, registry, settings, sockets } = options;
  const { bindAddress, dataDir, ports } = config;
  let plugins: readonly Admission[] = [];
  let configuration: FollowedConfiguration | undefined;
  const plan = podNetworkPlan(config, log);
  const expectedPods = new ExpectedPods();
  const api = await openApiServer({
    dataDir,
    expectedPods,
    rbac: { platformUsers: platformUsers(features) },
    clock,
    log,
    metrics,
    kinds: features.flatMap((feature) => feature.kinds),
    namespaces: namespacesOf(features),
    admission: () => plugins,
    config: () => configuration?.current() ?? noConfiguration,
    ...(plan && { serviceNetwork: serviceNetworkOf(plan) }),
    podLogs: { read: (pod, selection) => node.podLogs.read(pod, selection) },
    podStreams: {
      exec: (...asked) => node.podStreams.exec(...asked),
      attach: (...asked) => node.podStreams.attach(...asked),
      forward: (...asked) => node.podStreams.forward(...asked),
    },
    usage: { read: () => node.usage.read() },
  });
  const ofFeatures = features.flatMap(({ admission, user }) => {
    const client = api.clientFor(user);
    return admission?.({ client: () => client, settings }) ?? [];
  });
  plugins = [
    serviceAccountAdmission(() => api.client, clock) as unknown as Admission,
    ...ofFeatures,
    podSecurityAdmission({
      client: () => api.client,
      settings: () => podSecuritySettings(configuration?.current() ?? noConfiguration),
      log,
    }),
  ];
  const followed = await followConfiguration(api.client, [...namespacesOf(features), 'kube-system'], { clock, log });
  configuration = followed;
  const nodeDir = folder('node');
  const network = plan && new NetworkOfPods(plan, log);
  const node = await startNodeAgent({
    client: api.clientFor(nodeUser(nodeName)),
    clock,
    log,
    metrics,
    dataDir: nodeDir,
    nodeName,
    address: loopback,
    driver: chooseDriver().open({ dataDir: nodeDir, address: loopback, log, clock, network }),
    registry,
    expectedPods,
    machineCredentials: (image) => userCredentials(image),
    quarantine,
  });
  await api.listen({ host: bindAddress, port: ports.api, handle: sockets.api });
  if (plan) await api.keep(platformServices(plan, config, namespacesOf(features)));
  const client = api.clientFor(controllerManagerUser);
  return {
    clientFor: api.clientFor,
    lead: (start) => start({ client, clientFor: api.clientFor }),
    controllers: workloadControllers({
      rootCa: readFileSync(join(dataDir, 'pki', 'ca.crt'), 'utf8'),
      claimsDir: folder('claims'),
      expectedPods,
    }),
    config: followed.current,
    async stop() {
      await followed.stop();
      await node.stop({ stopPods: true });
      await api.stop();
    },
  };
}
