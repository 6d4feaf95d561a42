/** The gateway of the bench, in a process of its own: `gateway.child.ts ORIGIN_PORT`; prints its port. */
import { createServer } from 'node:http';
import { startGateway } from '../../src/gateway/index.ts';
import type { RouteChange } from '../../src/gateway/routes/change.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLogger } from '../../src/observe/log.ts';

const originPort = Number(process.argv[2]);
const routes: RouteChange = {
  hosts: new Map([
    [
      'hello.default.localhost',
      [
        {
          prefix: '/',
          headers: [],
          splits: [
            {
              percent: 100,
              target: 'default/hello-00001:80',
              appendHeaders: {
                'Knative-Serving-Revision': 'hello-00001',
                'Knative-Serving-Namespace': 'default',
              },
            },
          ],
        },
      ],
    ],
  ]),
  targets: new Map([
    [
      'default/hello-00001:80',
      {
        namespace: 'default',
        name: 'hello-00001',
        revision: 'hello-00001',
        containerConcurrency: 0,
        timeoutMs: 300_000,
        responseStartTimeoutMs: 0,
        idleTimeoutMs: 0,
        endpoints: [{ host: '127.0.0.1', port: originPort }],
      },
    ],
  ]),
};

// Takes the reports, as the autoscaler would.
const autoscaler = createServer((request, response) => {
  request.resume().once('end', () => response.writeHead(204).end());
});
autoscaler.listen(0, '127.0.0.1', async () => {
  const address = autoscaler.address();
  const autoscalerPort = typeof address === 'object' && address !== null ? address.port : 0;
  const gateway = await startGateway({
    source: {
      async start(onChange) {
        onChange(routes);
      },
      stop() {},
    },
    port: 0,
    autoscaler: { url: `http://127.0.0.1:${autoscalerPort}` },
    id: 'bench',
    clock: systemClock,
    log: createLogger('gateway', 'warn'),
  });
  process.stdout.write(`${gateway.port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
