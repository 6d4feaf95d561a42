import { ConfigMapKind } from '../../../api/core/config-map.ts';
import { SecretKind } from '../../../api/core/secret.ts';
import type { Kind } from '../../../api/kind.ts';
import type { Key, KubeObject } from '../../../api/meta.ts';
import { StartError } from '../driver.ts';

/** How an object is read: once, or so that one is told when it changes. */
export type ReadObject = <T extends KubeObject>(kind: Kind<T>, key: Key) => Promise<T | undefined>;

/** What one ConfigMap or Secret holds. */
export type ConfigValues = Record<string, Buffer>;

/** The contents of ConfigMaps and Secrets of one namespace, each read once. */
export class ConfigSources {
  readonly #read: ReadObject;
  readonly #namespace: string;
  readonly #reading = new Map<string, Promise<ConfigValues | undefined>>();
  /** Of those that were read, whether all are `immutable`, so that nothing of it will change. */
  isFixed = true;

  constructor(read: ReadObject, namespace: string) {
    this.#read = read;
    this.#namespace = namespace;
  }

  /** Undefined when it is missing and optional; throws StartError when it is missing. */
  async configMap(name: string, isOptional = false): Promise<ConfigValues | undefined> {
    const values = await this.#once(`configmap "${name}"`, async () => {
      const found = await this.#read(ConfigMapKind, { namespace: this.#namespace, name });
      this.isFixed &&= found?.immutable === true;
      return found && { ...buffers(found.data, 'utf8'), ...buffers(found.binaryData, 'base64') };
    });
    if (!values && !isOptional) throw missing(`configmap "${name}" not found`);
    return values;
  }

  async secret(name: string, isOptional = false): Promise<ConfigValues | undefined> {
    const values = await this.#once(`secret "${name}"`, async () => {
      const found = await this.#read(SecretKind, { namespace: this.#namespace, name });
      this.isFixed &&= found?.immutable === true;
      return found && buffers(found.data, 'base64');
    });
    if (!values && !isOptional) throw missing(`secret "${name}" not found`);
    return values;
  }

  #once(key: string, read: () => Promise<ConfigValues | undefined>) {
    let reading = this.#reading.get(key);
    if (!reading) {
      reading = read();
      this.#reading.set(key, reading);
    }
    return reading;
  }
}

function buffers(values: Record<string, string> | undefined, encoding: BufferEncoding): ConfigValues {
  return Object.fromEntries(Object.entries(values ?? {}).map(([key, value]) => [key, Buffer.from(value, encoding)]));
}

const missing = (message: string) => new StartError('CreateContainerConfigError', message);
