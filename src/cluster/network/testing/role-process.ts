/** The network role in a process of its own, for tests that kill it: `role-process.ts KUBECONFIG DATA_DIR`. */
import { httpClient } from '../../../kube/http/index.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { planNetwork } from '../plan.ts';
import { startNetwork } from '../role.ts';

const [kubeconfigPath = '', dataDir = ''] = process.argv.slice(2);
const running = await startNetwork({
  client: httpClient({ kubeconfigPath }),
  plan: planNetwork({ dataDir }),
  nodeName: 'local',
  domain: 'cluster.local',
  clock: systemClock,
  log: silentLogger,
});
process.once('SIGTERM', () => {
  void running.stop().then(() => process.exit(0)); // It does not reject.
});
process.stdout.write('ready\n');
