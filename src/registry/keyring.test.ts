import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../lib/testing/temporary-folder.ts';
import { credentialsFor, readDockerConfig } from './keyring.ts';
import { parseReference } from './reference.ts';
import { userCredentials } from './user-config.ts';

const auth = (text: string) => Buffer.from(text).toString('base64');

describe('credentials of a Docker configuration', () => {
  /** Who is asked for, when each place has a user of its name. */
  function usersFor(image: string, places: readonly string[]): string[] {
    const auths = Object.fromEntries(
      places.map((place) => [place, { auth: auth(`${place.replaceAll(':', '_')}:secret`) }]),
    );
    const entries = readDockerConfig(JSON.stringify({ auths }));
    return credentialsFor(entries, parseReference(image)).map(({ username }) => username);
  }

  // As in Kubernetes' pkg/credentialprovider: what a place is, and which images are its own.
  for (const [image, places, expected] of [
    ['reg.example/team/app', ['reg.example'], ['reg.example']],
    ['reg.example/team/app', ['https://reg.example/v2/', 'other.example'], ['https_//reg.example/v2/']],
    [
      'reg.example/team/app',
      ['reg.example/team', 'reg.example', 'reg.example/other'],
      ['reg.example/team', 'reg.example'],
    ],
    ['reg.example/team2/app', ['reg.example/team'], ['reg.example/team']],
    ['reg.example:5000/app', ['reg.example'], []],
    ['reg.example:5000/app', ['reg.example:5000'], ['reg.example_5000']],
    ['a.reg.example/app', ['*.reg.example', 'reg.example', '*.*.example'], ['*.reg.example', '*.*.example']],
    ['a.b.reg.example/app', ['*.reg.example'], []],
    ['eu-docker.example/app', ['*-docker.example', 'eu*r.example'], ['eu*r.example', '*-docker.example']],
    ['aba.example/app', ['ab*ba.example', 'a*b*a.example'], ['a*b*a.example']],
    ['nginx', ['https://index.docker.io/v1/'], ['https_//index.docker.io/v1/']],
    ['docker.io/team/app', ['docker.io', 'index.docker.io'], ['docker.io']],
    ['reg.example/app', ['https://index.docker.io/v1/'], []],
  ] as const) {
    test(`${image} is pulled with those of ${expected.join(' and ') || 'nobody'} among ${places.join(', ')}`, () => {
      assert.deepEqual(usersFor(image, places), expected);
    });
  }

  test('each way of writing them down is read, and what is none is left out', () => {
    const entries = (config: unknown) =>
      readDockerConfig(JSON.stringify(config)).map(({ place, credentials }) => [place, credentials]);
    assert.deepEqual(entries({ 'a.example': { username: 'u', password: 'p', email: 'e' } }), [
      ['a.example', { username: 'u', password: 'p' }],
    ]);
    assert.deepEqual(entries({ auths: { 'a.example': { auth: auth('u:p:q\0\0') } } }), [
      ['a.example', { username: 'u', password: 'p:q' }],
    ]);
    assert.deepEqual(entries({ auths: { 'a.example': { identitytoken: 'T' } } }), [
      ['a.example', { username: '', password: '', identityToken: 'T' }],
    ]);
    for (const none of [null, [], 5, { auths: 5 }, { auths: { a: 5, b: {}, c: { auth: 'x' }, d: { auth: {} } } }]) {
      assert.deepEqual(entries(none), [], JSON.stringify(none));
    }
    assert.deepEqual(entries({ credsStore: 'x' }), []);
    assert.throws(() => readDockerConfig('{"auths":{"secret"'), /^Error: it is not JSON$/);
  });
});

describe("the user's own Docker configuration", () => {
  test('a file that is not there has none, and one that is no JSON is an error without its content', async (t) => {
    const path = join(temporaryFolder(t), 'config.json');
    assert.deepEqual(await userCredentials({ host: 'reg.example', name: 'a' }, path), []);
    writeFileSync(path, '{"auths": {"reg.example": {"auth": "secret');
    await assert.rejects(userCredentials({ host: 'reg.example', name: 'a' }, path), (error: Error) => {
      assert.equal(error.message, `${path}: it is not JSON`);
      return true;
    });
  });

  test('a helper is run when it is named for the host, and its failure is told', async (t) => {
    const dir = temporaryFolder(t);
    const path = join(dir, 'config.json');
    const helper = (name: string, script: string) => {
      writeFileSync(join(dir, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
      chmodSync(join(dir, `docker-credential-${name}`), 0o755);
    };
    helper('one', 'read -r server || true\nprintf \'{"Username":"%s","Secret":"%s"}\' "$1" "$server"');
    helper('none', "echo 'credentials not found in native keychain'\nexit 1");
    helper('token', 'printf \'{"Username":"<token>","Secret":"T"}\'');
    helper('broken', "echo 'no keychain'\nexit 1");
    helper('odd', 'echo secret');
    const before = process.env.PATH;
    process.env.PATH = `${dir}${delimiter}${before}`;
    t.after(() => {
      process.env.PATH = before;
    });
    const of = (config: unknown, host = 'reg.example') => {
      writeFileSync(path, JSON.stringify(config));
      return userCredentials({ host, name: 'app' }, path);
    };
    assert.deepEqual(await of({ credHelpers: { 'reg.example': 'one' } }), [
      { username: 'get', password: 'reg.example' },
    ]);
    assert.deepEqual(await of({ credHelpers: { 'other.example': 'one' } }), []);
    assert.deepEqual(await of({ credsStore: 'one' }, 'docker.io'), [
      { username: 'get', password: 'https://index.docker.io/v1/' },
    ]);
    const inFile = { auths: { 'reg.example': { auth: auth('u:p') } } };
    assert.deepEqual(await of({ ...inFile, credsStore: 'none' }), [{ username: 'u', password: 'p' }]);
    assert.deepEqual(await of({ credsStore: 'token' }), [{ username: '', password: '', identityToken: 'T' }]);
    await assert.rejects(of({ credsStore: 'broken' }), /docker-credential-broken failed: no keychain/);
    await assert.rejects(of({ credsStore: 'odd' }), /docker-credential-odd gave no JSON$/);
    await assert.rejects(of({ credsStore: 'missing' }), /docker-credential-missing failed: ENOENT/);
    assert.deepEqual(await of({ credsStore: '../../bin/sh' }), [], 'a path is no name');
  });
});
