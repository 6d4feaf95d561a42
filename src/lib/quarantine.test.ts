import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Quarantine, SetAsideError, type WorkBoard, workName, workNameLengthMax } from './quarantine.ts';

/** A board that remembers what was begun and ended, in order. */
function recordingBoard(): WorkBoard & { lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    begin(name, isSuspect) {
      lines.push(`${isSuspect ? 'suspect' : 'begin'} ${name}`);
      return lines.length - 1;
    },
    end(slot) {
      lines.push(`end ${lines[slot]?.split(' ')[1]}`);
    },
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('what runs is on the board from before its first step until it has ended', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board });
  const result = await quarantine.run('a', async () => {
    assert.deepEqual(board.lines, ['begin a']);
    return 7;
  });
  assert.equal(result, 7);
  assert.deepEqual(board.lines, ['begin a', 'end a']);
});

test('work that throws has ended too, and the caller gets its error', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board });
  const failing = quarantine.run('a', () => Promise.reject(new Error('no')));
  await assert.rejects(failing, /^Error: no$/);
  assert.deepEqual(board.lines, ['begin a', 'end a']);
});

test('what is set aside is not run, until it is released', async () => {
  const quarantine = new Quarantine({ setAside: ['a', 'b'] });
  const released: string[] = [];
  const ran: string[] = [];
  quarantine.onRelease((name) => released.push(name));
  const run = (name: string) => quarantine.run(name, async () => void ran.push(name));
  await assert.rejects(run('a'), (error) => error instanceof SetAsideError && error.work === 'a');
  await run('c');
  assert.deepEqual(ran, ['c']);
  quarantine.update(['b']);
  assert.deepEqual(released, ['a']);
  await run('a');
  await assert.rejects(run('b'), /"b" is set aside.*kittiwake release/);
  assert.deepEqual(ran, ['c', 'a']);
  assert.equal(quarantine.size, 1);
});

test('work that ended a process of its own is set aside by whoever saw that, and written into the books', async () => {
  const books: string[][] = [];
  const quarantine = new Quarantine({ keepBooks: (...entry) => books.push(entry) });
  const released: string[] = [];
  quarantine.onRelease((name) => released.push(name));
  quarantine.setAside('a\n', 'exit code 1');
  assert.deepEqual(books, [['a', 'exit code 1']]);
  await assert.rejects(
    quarantine.run('a', async () => {}),
    SetAsideError,
  );
  quarantine.update([]);
  assert.deepEqual(released, ['a']);
  new Quarantine().setAside('b', 'nobody keeps books');
});

test('a suspect waits for the others, runs alone, and is cleared when it ends', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['bad'], aloneMsMax: 60_000 });
  const first = Promise.withResolvers<void>();
  const bad = Promise.withResolvers<void>();
  const running = [quarantine.run('first', () => first.promise)];
  await turn();
  running.push(
    quarantine.run('bad', () => bad.promise),
    quarantine.run('later', async () => {}),
  );
  await turn();
  assert.deepEqual(board.lines, ['begin first'], 'the suspect waits, and who comes after it does too');
  first.resolve();
  await turn();
  assert.deepEqual(board.lines, ['begin first', 'end first', 'suspect bad']);
  bad.resolve();
  await Promise.all(running);
  assert.deepEqual(board.lines.slice(3), ['end bad', 'begin later', 'end later']);
  await quarantine.run('bad', async () => {});
  assert.deepEqual(board.lines.slice(6), ['begin bad', 'end bad'], 'cleared: among the others again');
});

test('a suspect that does not end holds up the others for a bounded time only, and stays marked', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['bad'], aloneMsMax: 1 });
  const bad = Promise.withResolvers<void>();
  const running = quarantine.run('bad', () => bad.promise);
  await quarantine.run('other', async () => {});
  assert.deepEqual(board.lines, ['suspect bad', 'begin other', 'end other']);
  bad.resolve();
  await running;
});

test('a suspect waits for all the others', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['bad'], aloneMsMax: 60_000 });
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const running = [quarantine.run('first', () => first.promise), quarantine.run('second', () => second.promise)];
  running.push(quarantine.run('bad', async () => {}));
  first.resolve();
  await turn();
  assert.equal(board.lines.at(-1), 'end first');
  second.resolve();
  await Promise.all(running);
  assert.deepEqual(board.lines.slice(3), ['end second', 'suspect bad', 'end bad']);
});

test('a suspect waits for two seconds unless told otherwise, and then has as long for itself', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['bad'] });
  const end = Promise.withResolvers<void>();
  const running = ['first', 'bad', 'other'].map((name) => quarantine.run(name, () => end.promise));
  const after = async (ms: number) => {
    t.mock.timers.tick(ms);
    await turn();
    return board.lines.length;
  };
  assert.deepEqual([await after(1_999), await after(1)], [1, 2]);
  assert.deepEqual([await after(1_999), await after(1)], [2, 3]);
  assert.deepEqual(board.lines, ['begin first', 'suspect bad', 'begin other']);
  end.resolve();
  await Promise.all(running);
});

test('a suspect that ends late lets nobody join the one that runs alone by then', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['a', 'b'], aloneMsMax: 1 });
  const [a, b] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const running = [quarantine.run('a', () => a.promise), quarantine.run('b', () => b.promise)];
  t.mock.timers.tick(2);
  await turn();
  a.resolve();
  for (let turns = 0; turns < 3; turns++) await turn();
  running.push(quarantine.run('other', async () => {}));
  await turn();
  assert.deepEqual(board.lines, ['suspect a', 'suspect b', 'end a']);
  b.resolve();
  await Promise.all(running);
});

test('two suspects never run at the same time', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['a', 'b'], aloneMsMax: 60_000 });
  await Promise.all([quarantine.run('a', turn), quarantine.run('b', turn)]);
  assert.deepEqual(board.lines, ['suspect a', 'end a', 'suspect b', 'end b']);
});

test('what is entered is on the board only after a death, as suspect, and asked for its name only then', async () => {
  const board = recordingBoard();
  const calm = new Quarantine({ board });
  calm.enter(() => assert.fail('not asked'));
  calm.leave();
  const careful = new Quarantine({ board, isCareful: true });
  careful.enter(() => 'GET a');
  careful.leave();
  careful.leave();
  assert.deepEqual(board.lines, ['suspect GET a'], 'what it leaves behind for the end of its turn is its own doing');
  await turn();
  assert.deepEqual(board.lines, ['suspect GET a', 'end GET']);
  careful.enter(() => 'GET b');
  careful.leave();
  careful.enter(() => 'GET c');
  await turn();
  assert.deepEqual(board.lines.slice(2), ['suspect GET b', 'end GET', 'suspect GET c'], 'b has left, c has not');
  careful.leave();
  await turn();
  assert.deepEqual(board.lines.slice(5), ['end GET']);
});

test('what a suspect leaves behind for the end of its last turn is still its own doing', async () => {
  const board = recordingBoard();
  const quarantine = new Quarantine({ board, suspects: ['bad'] });
  let seen: string[] = [];
  await quarantine.run('bad', async () => {
    process.nextTick(() => queueMicrotask(() => process.nextTick(() => (seen = [...board.lines]))));
  });
  assert.deepEqual(seen, ['suspect bad']);
});

test('names are of one line and bounded, and long ones keep both ends', () => {
  assert.equal(workName('revision default/a'), 'revision default/a');
  assert.equal(workName('a\nb\0c'), 'a b c');
  assert.equal(workNameLengthMax, 160);
  assert.equal(workName('x'.repeat(160)), 'x'.repeat(160));
  assert.equal(workName(`${'a'.repeat(80)}${'b'.repeat(81)}`), `${'a'.repeat(79)}…${'b'.repeat(79)}`);
});

describe('work that other work waits for', () => {
  const within = async (suspects: string[], inner: string[]) => {
    const board = recordingBoard();
    const quarantine = new Quarantine({ board, suspects, aloneMsMax: 60_000 });
    await quarantine.run('outer', async () => {
      await Promise.all(inner.map((name) => quarantine.runWithin(name, turn)));
    });
    await quarantine.run('after', turn);
    return board.lines;
  };

  test('does not wait for a suspect that runs alone and waits for it', async () => {
    assert.deepEqual(await within(['outer'], ['image']), [
      'suspect outer',
      'begin image',
      'end image',
      'end outer',
      'begin after',
      'end after',
    ]);
  });

  test('is the one to blame when it is suspect itself, and one such at a time', async () => {
    assert.deepEqual(await within(['outer', 'a', 'b'], ['a', 'b']), [
      ...['suspect outer', 'end outer', 'begin outer', 'suspect a', 'end a', 'end outer', 'suspect outer'],
      ...['end outer', 'begin outer', 'suspect b', 'end b', 'end outer', 'suspect outer'],
      ...['end outer', 'begin after', 'end after'],
    ]);
  });

  test('is the one to blame for what it leaves behind for the end of its last turn', async () => {
    const board = recordingBoard();
    const quarantine = new Quarantine({ board, suspects: ['outer', 'inner'], aloneMsMax: 60_000 });
    let seen: string[] = [];
    const inner = async () => {
      process.nextTick(() => queueMicrotask(() => process.nextTick(() => (seen = [...board.lines]))));
    };
    await quarantine.run('outer', () => quarantine.runWithin('inner', inner));
    assert.equal(seen.at(-1), 'suspect inner');
  });

  test('that outlives it makes it suspect no more', async () => {
    const board = recordingBoard();
    const quarantine = new Quarantine({ board, suspects: ['outer', 'inner'], aloneMsMax: 60_000 });
    const late = Promise.withResolvers<void>();
    let left: Promise<void> | undefined;
    await quarantine.run('outer', async () => {
      left = quarantine.runWithin('inner', () => late.promise);
    });
    late.resolve();
    await left;
    assert.deepEqual(board.lines.slice(2), ['begin outer', 'suspect inner', 'end outer', 'end inner']);
  });

  test('is set aside as any', async () => {
    const quarantine = new Quarantine({ suspects: ['outer'], setAside: ['image'] });
    const outer = quarantine.run('outer', () => quarantine.runWithin('image', turn));
    await assert.rejects(outer, { name: 'SetAsideError', work: 'image' });
    await assert.rejects(quarantine.runWithin('image', turn), { name: 'SetAsideError' });
  });

  test('that goes on when the suspect has ended waits for the others like any work', async () => {
    const board = recordingBoard();
    const quarantine = new Quarantine({ board, suspects: ['outer', 'next'], aloneMsMax: 60_000 });
    const [late, next] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let left: Promise<void> | undefined;
    await quarantine.run('outer', async () => {
      left = late.promise.then(() => quarantine.runWithin('late', turn));
    });
    const running = quarantine.run('next', () => next.promise);
    late.resolve();
    await turn();
    next.resolve();
    await Promise.all([running, left]);
    assert.deepEqual(board.lines.slice(2), ['suspect next', 'end next', 'begin late', 'end late']);
  });
});
