import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { mountPins, pinMounts } from './pinned-mounts.ts';
import { noContainers } from './testing/real-container.ts';

describe('a subPath that containers may be moving about', { skip: noContainers }, () => {
  let dir: string;
  let within: string;
  let place: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-pins-'));
    [within, place] = [join(dir, 'volume'), join(dir, 'place')];
    mkdirSync(join(within, 'sub'), { recursive: true });
    writeFileSync(join(within, 'sub/file'), 'of the volume');
    mkdirSync(join(dir, 'outside'));
    writeFileSync(join(dir, 'outside/file'), 'of the machine');
    mkdirSync(place);
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  /** Pins it, lets `meanwhile` happen, and shows what a container would then see. */
  async function seen(meanwhile: () => void, script = mountPins): Promise<string> {
    const asked = { source: join(within, 'sub'), within, path: '/data', isReadOnly: false };
    const pinned = await pinMounts([asked], place);
    try {
      pinned.write();
      meanwhile();
      const source = pinned.mounts[0]?.source ?? '';
      const inside = `${script}; mount_pins || exit 1; cat "$0/file"`;
      const args = ['--mount', '--propagation', 'slave', 'sh', '-c', inside, source];
      const { stdout, stderr, status } = spawnSync('unshare', args, { cwd: place, encoding: 'utf8' });
      return status === 0 ? stdout : stderr.trim();
    } finally {
      await pinned.release();
    }
  }

  const swapForLink = () => {
    renameSync(join(within, 'sub'), join(within, 'moved'));
    symlinkSync(join(dir, 'outside'), join(within, 'sub'));
  };

  test('is mounted when it stays', async () => {
    assert.equal(await seen(() => {}), 'of the volume');
    assert.deepEqual(readdirSync(join(place, 'pins/0')), [], 'nowhere but in that mount namespace');
  });

  test('is not mounted when it is swapped for a link, or for another folder', async () => {
    const moved = 'a subPath was moved while it was being mounted';
    assert.equal(await seen(swapForLink), moved);
    rmSync(join(place, 'pins'), { recursive: true });
    rmSync(join(within, 'sub'));
    mkdirSync(join(within, 'sub'));
    const swapForFolder = () => {
      renameSync(join(within, 'sub'), join(within, 'other'));
      renameSync(join(within, 'moved'), join(within, 'sub'));
    };
    assert.equal(await seen(swapForFolder), moved);
    assert.equal(readFileSync(join(dir, 'outside/file'), 'utf8'), 'of the machine');
  });

  test('would be, without the look at what was mounted', async () => {
    const blind = mountPins.replace(/\n *\[ "\$\(stat .*/, '');
    assert.notEqual(blind, mountPins);
    assert.equal(await seen(swapForLink, blind), 'of the machine');
  });
});
