import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readKubeconfig } from './connection.ts';

async function withFiles(files: Record<string, string>, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kittiwake-kubeconfig-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: c1
  cluster: {server: "https://one:6443", certificate-authority-data: ${base64('ca text')}}
- name: c2
  cluster: {server: "https://two:6443", certificate-authority: ca.pem, tls-server-name: kubernetes}
users:
- name: u1
  user: {client-certificate-data: ${base64('cert text')}, client-key-data: ${base64('key text')}}
- name: u2
  user: {tokenFile: token}
- name: u3
  user: {exec: {command: aws}}
contexts:
- {name: one, context: {cluster: c1, user: u1}}
- {name: two, context: {cluster: c2, user: u2}}
- {name: three, context: {cluster: c1, user: u3}}
- {name: four, context: {cluster: nowhere, user: u1}}
`;

test('what is no kubeconfig is refused by its name: any text, a folder, a pipe that nobody writes to', async () => {
  const texts = { json: '{', list: '[]', text: 'a', nothing: '', yaml: 'a: [' };
  await withFiles(texts, async (folder) => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    for (const name of [...Object.keys(texts), 'pipe', '.', 'none']) {
      const path = join(folder, name);
      await assert.rejects(readKubeconfig(path), ({ message }: Error) => message.includes(path), name);
    }
  });
});

test('a kubeconfig in JSON is one, too', async () => {
  const whole = {
    'current-context': 'a',
    clusters: [{ name: 'c', cluster: { server: 'https://one' } }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'a', context: { cluster: 'c', user: 'u' } }],
  };
  await withFiles({ config: JSON.stringify(whole, undefined, '\t') }, async (folder) => {
    assert.deepEqual(await readKubeconfig(join(folder, 'config')), { server: 'https://one', token: 't' });
  });
});

test('a kubeconfig is read with its data inline or in files beside it', async () => {
  await withFiles({ config: kubeconfig, 'ca.pem': 'ca file', token: 'token file\n' }, async (folder) => {
    const path = join(folder, 'config');
    assert.deepEqual(await readKubeconfig(path), {
      server: 'https://one:6443',
      ca: 'ca text',
      cert: 'cert text',
      key: 'key text',
    });
    assert.deepEqual(await readKubeconfig(path, 'two'), {
      server: 'https://two:6443',
      ca: 'ca file',
      token: 'token file',
      serverName: 'kubernetes',
    });
  });
});

test('a kubeconfig in JSON is one too', async () => {
  const config = {
    'current-context': 'x',
    clusters: [{ name: 'x', cluster: { server: 'http://x' } }],
    users: [{ name: 'x', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
  };
  await withFiles({ config: JSON.stringify(config) }, async (folder) => {
    assert.deepEqual(await readKubeconfig(join(folder, 'config')), { server: 'http://x' });
  });
});

test('what a kubeconfig lacks is named', async () => {
  await withFiles({ config: kubeconfig, empty: '# nothing\n' }, async (folder) => {
    const path = join(folder, 'config');
    await assert.rejects(readKubeconfig(path, 'five'), /has no context "five"/);
    await assert.rejects(readKubeconfig(path, 'four'), /has no cluster "nowhere"/);
    await assert.rejects(readKubeconfig(path, 'three'), /plugin, which is not supported/);
    await assert.rejects(readKubeconfig(join(folder, 'empty')), /is not a kubeconfig/);
    await assert.rejects(readKubeconfig(join(folder, 'absent')), { code: 'ENOENT' });
  });
});
