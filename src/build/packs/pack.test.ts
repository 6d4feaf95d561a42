import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { extract } from 'tar-stream';
import { type Descriptor, mediaTypes } from '../../registry/index.ts';
import { buildImage } from '../build-image.ts';
import { BuildFailure } from '../failure.ts';
import type { StepRunner } from '../steps/step-runner.ts';
import { toyPack } from '../testing/toy-pack.ts';
import { toyStepRunner } from '../testing/toy-step-runner.ts';
import { type BuildWorld, openBuildWorld } from '../testing/world.ts';
import { nodePack } from './node/index.ts';

/** A language is one folder and one line in the list of packs; what runs its steps is one value, too. */
describe('a language, and a runner of steps, that were made elsewhere', () => {
  let world: BuildWorld;
  before(async () => {
    world = await openBuildWorld();
  });
  after(() => world.stop());

  async function build(files: Record<string, string>) {
    const ran: string[] = [];
    const context = { ...world.context('cake'), steps: toyStepRunner(ran) };
    await mkdir(context.workDir, { recursive: true });
    const result = await buildImage({ source: { files } }, [nodePack(), toyPack], context);
    return { ...result, ran, log: context.log.text() };
  }

  async function contentOf({ digest, mediaType }: Descriptor): Promise<Record<string, string>> {
    const archive = extract();
    const unzip = mediaType === mediaTypes.layerZstd ? createZstdDecompress() : createGunzip();
    (await world.client.blob('registry.localhost/test/cake', digest)).pipe(unzip).pipe(archive);
    const found: Record<string, string> = {};
    for await (const entry of archive) found[entry.header.name] = (await buffer(entry)).toString();
    return found;
  }

  test('its plan becomes an image: what steps make, what they were given, how it starts', async () => {
    const { image, ran, log } = await build({ 'recipe.txt': 'flour', 'notes.txt': 'mine' });
    assert.deepEqual(ran, ['bake', 'shop']);
    assert.match(
      log,
      /there is a recipe\.txt\na recipe of 5 characters\n(plate: .*\n)?> bake flour\nbake begins\na cake, of flour/,
    );
    const { manifest } = await world.client.manifest(image);
    const [plate, pantry, app] = await Promise.all((manifest.layers ?? []).map(contentOf));
    assert.deepEqual(plate, { 'plate/': '' });
    assert.deepEqual(pantry, { 'app/': '', 'app/pantry/': '', 'app/pantry/list': 'only flour' });
    const files = { 'app/cake.txt': 'of flour', 'app/notes.txt': 'mine', 'app/recipe.txt': 'flour' };
    assert.deepEqual(app, { 'app/': '', ...files });
    const config = await world.client.blob(image, manifest.config?.digest ?? '');
    const { Entrypoint, Labels, User } = JSON.parse((await buffer(config)).toString()).config;
    assert.deepEqual([Entrypoint, User], [['eat', 'cake.txt'], '65532:65532']);
    assert.deepEqual(Labels, { toy: 'yes', 'dev.kittiwake.base-layers': '1' }, 'who has a plate can leave it out');
  });

  test('what it made for a key is not made again', async () => {
    const files = { 'recipe.txt': 'sugar' };
    const one = await build({ ...files, 'notes.txt': '1' });
    const two = await build({ ...files, 'notes.txt': '2' });
    assert.deepEqual([one.ran, two.ran], [['bake', 'shop'], ['bake']]);
    assert.match(two.log, /pantry: unchanged, layer \w+ used again/);
  });

  test('its failure is said in its own words, and a source that is nobody’s names what all look for', async () => {
    await assert.rejects(build({ 'recipe.txt': 'burnt' }), {
      reason: 'CompileFailed',
      message: 'the cake did not come out (exit code 3):\nthe oven was too hot',
    });
    await assert.rejects(build({ 'main.py': '' }), /none of package\.json, index\.js, index\.ts, recipe\.txt/);
  });

  test('an app that cannot be started ends what is made for it meanwhile, and is the reason', async () => {
    const shopping = Promise.withResolvers<void>();
    const toys = toyStepRunner([]);
    let wasEnded = false;
    const steps: StepRunner = {
      run(program, place, signal) {
        if (program.command[0] !== 'shop') return toys.run(program, place, signal);
        shopping.resolve();
        return once(signal, 'abort').then(() => {
          wasEnded = true;
          throw signal.reason;
        });
      },
    };
    const start = () => shopping.promise.then(() => Promise.reject(new BuildFailure('EntryPointNotFound', 'no fork')));
    const context = { ...world.context('cake'), steps };
    await mkdir(context.workDir, { recursive: true });
    const spec = { source: { files: { 'recipe.txt': 'salt' } } };
    await assert.rejects(buildImage(spec, [{ ...toyPack, start }], context), { reason: 'EntryPointNotFound' });
    assert.ok(wasEnded, 'nothing of a build runs on when it has failed');
  });

  test('a plan is plain data', () => {
    const source = { root: '/nowhere', entries: new Map() };
    const plan = toyPack.plan(source, { allowScripts: false, env: {}, cacheDir: '/cache' });
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
    const node = nodePack().plan(source, { allowScripts: false, env: {}, cacheDir: '/cache' });
    assert.deepEqual(JSON.parse(JSON.stringify(node)), node);
  });
});
