import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Credentials } from './auth.ts';
import { credentialsFor, placeOf, readDockerConfig } from './keyring.ts';

const configMaxBytes = 1024 * 1024;
const helperMs = 10_000;
const helperBytesMax = 64 * 1024;

/** Of `docker login`: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`. */
export const userConfigPath = (): string =>
  join(process.env.DOCKER_CONFIG || join(homedir(), '.docker'), 'config.json');

/**
 * What the user's Docker configuration has for an image: what stands in it, or what the helper that it names for the
 * host gives (`credHelpers`, `credsStore`; a program `docker-credential-NAME`). None when there is no such file. Throws
 * an Error that says what is wrong, without what is in it.
 */
export async function userCredentials(
  image: { host: string; name: string },
  path = userConfigPath(),
): Promise<Credentials[]> {
  const text = await readConfig(path);
  if (text === undefined) return [];
  try {
    const inFile = credentialsFor(readDockerConfig(text), image);
    const helper = helperFor(JSON.parse(text), image.host);
    const given = helper && (await askHelper(helper.name, helper.server));
    return given ? [given, ...inFile] : inFile;
  } catch (error) {
    throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function readConfig(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > configMaxBytes) throw new Error(`${path} is larger than ${configMaxBytes} bytes: it is not read`);
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined;
    throw error;
  }
}

interface Helper {
  name: string;
  /** As whose the helper knows them. */
  server: string;
}

/** The host's own helper, or the one for all. */
function helperFor(value: unknown, host: string): Helper | undefined {
  const { credHelpers, credsStore } = (value ?? {}) as { credHelpers?: unknown; credsStore?: unknown };
  const hosts = host === 'docker.io' ? ['index.docker.io', 'docker.io'] : [host];
  for (const [place, name] of Object.entries((credHelpers ?? {}) as Record<string, unknown>)) {
    if (hosts.includes(placeOf(place)) && isName(name)) return { name, server: place };
  }
  const server = host === 'docker.io' ? 'https://index.docker.io/v1/' : host;
  return isName(credsStore) ? { name: credsStore, server } : undefined;
}

/** It becomes part of a program's name: no paths. */
const isName = (value: unknown): value is string => typeof value === 'string' && /^[\w-]{1,100}$/.test(value);

/** Docker's protocol for helpers: `get` with the server on stdin, JSON on stdout. Undefined when it has none. */
async function askHelper(name: string, server: string): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  const answer = await new Promise<string | undefined>((resolve, reject) => {
    const options = { timeout: helperMs, killSignal: 'SIGKILL' as const, maxBuffer: helperBytesMax };
    const child = execFile(program, ['get'], options, (error, stdout) => {
      if (!error) resolve(stdout);
      else if (/credentials not found/i.test(stdout)) resolve(undefined);
      else if (error.killed) reject(new Error(`${program} did not answer within ${helperMs / 1000} s`));
      else reject(new Error(`${program} failed: ${stdout.trim().split('\n')[0]?.slice(0, 200) || error.code}`));
    });
    child.stdin?.on('error', () => undefined); // It has ended: its exit says why.
    child.stdin?.end(server);
  });
  if (answer === undefined) return undefined;
  const { Username: username, Secret: password } = asAnswer(answer, program);
  if (typeof username !== 'string' || typeof password !== 'string')
    throw new Error(`${program} gave no Username, Secret`);
  return username === '<token>' ? { username: '', password: '', identityToken: password } : { username, password };
}

function asAnswer(text: string, program: string): { Username?: unknown; Secret?: unknown } {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    throw new Error(`${program} gave no JSON`); // What JSON.parse says quotes it.
  }
}
