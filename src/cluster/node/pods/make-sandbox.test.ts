import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RegistryClient } from '../../../registry/client.ts';
import { runtimeLabel } from '../../../registry/labels.ts';
import type { Driver, SandboxRequest } from '../driver.ts';
import { openTestRegistry, type TestRegistry } from '../testing/test-images.ts';
import { openTestNode, type TestNode } from '../testing/test-node.ts';
import { ToyMachine } from '../testing/toy-driver.ts';
import { toyPrograms } from '../testing/toy-programs.ts';

const linux = { skip: process.platform !== 'linux' && 'each toy sandbox has an address of its own in 127.0.0.0/8' };

describe('what a driver is told of images', linux, () => {
  let registry: TestRegistry;
  let node: TestNode;
  let source: RegistryClient;
  const told = new Map<string, Awaited<ReturnType<SandboxRequest['imageLabels']>> | undefined>();
  const machine = new ToyMachine(toyPrograms);
  const openDriver = (): Driver => {
    const driver = machine.open();
    return {
      ...driver,
      async sandbox(pod, signal, request) {
        told.set(pod.metadata.name, await request?.imageLabels());
        return driver.sandbox(pod, signal);
      },
    };
  };

  before(async () => {
    registry = await openTestRegistry();
    source = new RegistryClient({ mirrors: { 'registry.localhost': registry.url, 'elsewhere.example': registry.url } });
    node = await openTestNode(source, { openDriver });
  });
  after(async () => {
    await node.stop();
    source.close();
    await registry.stop();
  });

  test('an image from elsewhere is not ours by its own label, not even once it is on the machine', async () => {
    const ours = await registry.push([{ file: '' }], { Entrypoint: ['web', '8080'], WorkingDir: '/' });
    const foreign = ours.replace('registry.localhost', 'elsewhere.example');
    for (const [name, image] of Object.entries({ first: foreign, second: foreign, ours })) {
      await node.run(name, image);
      await node.ready(name);
      await node.remove(name);
    }
    assert.deepEqual(told.get('first'), [undefined]);
    assert.deepEqual(told.get('second'), [undefined]);
    assert.deepEqual(told.get('ours'), [{ [runtimeLabel]: 'node24' }]);
  });
});
