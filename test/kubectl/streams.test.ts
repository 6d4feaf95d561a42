/** The real kubectl's streams, on pods that run here: what it prints is what it printed on a real Kubernetes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { kubectlTest } from './cluster.ts';
import { openNodeCluster } from './node-cluster.ts';
import { type Printed, runSession } from './session/session.ts';

const recorded: Record<string, Printed> = JSON.parse(
  readFileSync(fileURLToPath(new URL('fixtures/session.json', import.meta.url)), 'utf8'),
);

const echo = `import { createServer } from 'node:net';
createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(process.env.PORT);`;

const cluster = openNodeCluster();

for (const protocol of ['WebSocket', 'SPDY'] as const) {
  kubectlTest(
    `a session prints what it prints on a real Kubernetes, over ${protocol}`,
    async () => {
      const isWebSocket = String(protocol === 'WebSocket');
      const image = await cluster.push({ 'app/': { type: 'directory' }, 'app/echo.mjs': echo });
      const printed = await runSession({
        ...cluster.kubectl(`session-${protocol}`),
        environment: {
          ...cluster.kubectl(`session-${protocol}`).environment,
          KUBECTL_REMOTE_COMMAND_WEBSOCKETS: isWebSocket,
          KUBECTL_PORT_FORWARD_WEBSOCKETS: isWebSocket,
        },
        image,
        podDir: '',
        echo: 'node echo.mjs',
      });
      const ours = JSON.parse(JSON.stringify(printed).replaceAll(image, 'IMAGE'));
      for (const [step, wanted] of Object.entries(recorded))
        assert.deepEqual({ [step]: ours[step] }, { [step]: wanted });
    },
    180_000,
  );
}
