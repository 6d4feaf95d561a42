import { randomUUID } from 'node:crypto';
import { sendEvent } from '../eventing/index.ts';
import { messageOf } from '../lib/errors.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { readInput } from './read-input.ts';
import { print } from './terminal.ts';

export interface SendOptions {
  type: string;
  broker: string;
  namespace: string;
  source: string;
  id?: string;
  data?: string;
  contentType: string;
  extension?: string[];
}

/** `kittiwake send`: one CloudEvent to a broker; returns once the broker has it on disk. */
export async function send(common: CommonOptions, options: SendOptions): Promise<void> {
  const { addresses } = runningPlatform(common);
  const id = options.id ?? randomUUID();
  const extensions = Object.fromEntries((options.extension ?? []).map(parseExtension));
  const url = `${addresses.brokerUrl}/${options.namespace}/${options.broker}`;
  const data = options.data === undefined ? undefined : await readData(options.data);
  if (data !== undefined && options.contentType === 'application/json') checkJson(data);
  await sendEvent(url, {
    attributes: {
      specversion: '1.0',
      id,
      type: options.type,
      source: options.source,
      time: new Date().toISOString(),
      ...(data === undefined ? {} : { datacontenttype: options.contentType }),
      ...extensions,
    },
    ...(data === undefined ? {} : { data }),
  });
  print(id);
}

const dataBytesMax = 256 * 1024 * 1024;

/** `@FILE` reads a file (`@-` standard input), all else is itself. */
export async function readData(data: string): Promise<Buffer> {
  return data.startsWith('@') ? readInput(data.slice(1), data, dataBytesMax) : Buffer.from(data);
}

function checkJson(data: Buffer): void {
  try {
    JSON.parse(data.toString());
  } catch (error) {
    throw new Error(
      `--data is not JSON: ${messageOf(error)}; say --content-type text/plain when it is not meant to be`,
    );
  }
}

function parseExtension(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`--extension is ${JSON.stringify(text)}: write name=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}
