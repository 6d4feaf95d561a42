/**
 * Records what a session prints on a real Kubernetes: `bin/node test/kubectl/session/record.ts IMAGE`, with KUBECONFIG,
 * where the node has the image, with busybox's programs by their names. It replaces test/kubectl/fixtures/session.json.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runSession } from './session.ts';

const [image = ''] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'kittiwake-session-'));
const printed = await runSession({
  kubectl: process.env.KUBECTL ?? 'kubectl',
  environment: process.env,
  dir,
  image,
  podDir: '/tmp',
  echo: 'nc -ll -p 8080 -e cat',
});
rmSync(dir, { recursive: true });
const path = fileURLToPath(new URL('../fixtures/session.json', import.meta.url));
writeFileSync(path, `${JSON.stringify(printed, undefined, 2).replaceAll(image, 'IMAGE')}\n`);
