import type { KubeObject } from '../../../api/meta.ts';
import type { Convert } from '../conversion.ts';

/** A size as one version has it, `{ size: 3 }`, and as the other, `{ text: 'size 3' }`. */
interface Sized extends KubeObject {
  spec?: { size?: number; text?: string };
}

const group = 'shop.example.dev';

/** A conversion that asks somebody else, as a webhook does: between two versions of Gadgets whose fields differ. */
export const renamedSize =
  (wait: () => Promise<void> = async () => {}): Convert =>
  async (object) => {
    await wait();
    const { spec: { size, text } = {} } = object as Sized;
    const number = size ?? Number(text?.replace('size ', '') ?? 0);
    // Somebody else may well forget what the metadata was.
    const { kind } = object;
    const metadata = { name: 'forgotten' };
    return [
      { apiVersion: `${group}/v1`, kind, metadata, spec: { size: number } },
      { apiVersion: `${group}/v1beta1`, kind, metadata, spec: { text: `size ${number}` } },
    ] as Sized[];
  };
