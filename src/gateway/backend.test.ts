import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { Backend, type Waiter } from './backend.ts';
import type { Endpoint } from './endpoint.ts';
import type { Target } from './routes/change.ts';
import { poolOf } from './testing/pool.ts';
import { targetOf } from './testing/routes.ts';

class Request implements Waiter {
  previousWaiter: Waiter | undefined;
  nextWaiter: Waiter | undefined;
  isQueued = false;
  endpoint: Endpoint | undefined;
  isRejected = false;
  isRerouted = false;

  reroute(): void {
    this.isRerouted = true;
  }

  start(endpoint: Endpoint): void {
    this.endpoint = endpoint;
  }

  ask(backend: Backend): this {
    const got = backend.acquire(this);
    if (got === 'full') this.isRejected = true;
    else if (got !== 'queued') this.endpoint = got;
    return this;
  }

  /** Connecting failed: the slot is given up for a place at the head. */
  failConnect(backend: Backend): void {
    const { endpoint } = this;
    this.endpoint = undefined;
    if (endpoint !== undefined) backend.retry(this, endpoint);
  }

  end(backend: Backend): void {
    const { endpoint } = this;
    this.endpoint = undefined;
    if (endpoint !== undefined) backend.release(endpoint);
  }
}

function target(ports: readonly number[], containerConcurrency = 0): Target {
  const endpoints = ports.map((port) => ({ host: '127.0.0.1', port }));
  return { ...targetOf('r'), containerConcurrency, endpoints };
}

/** Counts the timers that are due one day. */
class CountingClock extends VirtualClock {
  timers = 0;

  override after(delayMs: number, task: () => void): () => void {
    this.timers++;
    const cancel = super.after(delayMs, () => {
      this.timers--;
      task();
    });
    return () => {
      this.timers--;
      cancel();
    };
  }
}

const portsOf = (requests: Iterable<Request>) => [...requests].map(({ endpoint }) => endpoint?.port);

function backendOf(initial: Target, queueMax = 100) {
  const clock = new CountingClock();
  let demands = 0;
  const onDemand = () => {
    demands++;
  };
  const backend = new Backend(initial, { clock, queueMax, onDemand });
  return { backend, clock, demands: () => demands };
}

describe("a revision's breaker", () => {
  it('starts waiting requests in the order of their arrival once there is an endpoint', () => {
    const { backend, demands } = backendOf(target([]));
    const requests = [1, 2, 3].map(() => new Request().ask(backend));
    assert.equal(backend.queued, 3);
    assert.equal(demands(), 3);
    backend.update(target([80], 1));
    assert.deepEqual(
      requests.map((request) => request.endpoint?.port),
      [80, undefined, undefined],
    );
    requests[0]?.end(backend);
    assert.deepEqual(
      requests.map((request) => request.endpoint?.port),
      [undefined, 80, undefined],
    );
  });

  it('sends away what waits when no route leads there any more, and what comes back to wait, until one does', () => {
    const { backend, demands } = backendOf(target([80, 81], 1));
    const [running, refused, waiting] = [1, 2, 3].map(() => new Request().ask(backend)) as [Request, Request, Request];
    backend.leave();
    assert.deepEqual([running.isRerouted, refused.isRerouted, waiting.isRerouted], [false, false, true]);
    assert.deepEqual([backend.queued, waiting.isQueued, backend.hasReadyEndpoints], [0, false, false]);
    refused.failConnect(backend);
    assert.deepEqual([refused.isRerouted, backend.queued, running.endpoint?.port], [true, 0, 80]);
    assert.equal([...backend.endpoints()].length, 1, 'what runs ends');
    backend.update(target([]));
    const before = demands();
    running.failConnect(backend);
    assert.deepEqual([running.isRerouted, backend.queued, demands()], [false, 1, before + 1]);
  });

  it('asks for a pod again when it hears more of who could wake it, while requests wait', () => {
    const { backend, demands } = backendOf({ ...target([]), revision: undefined });
    const request = new Request().ask(backend);
    backend.update(target([]));
    assert.equal(demands(), 2);
    backend.update(target([80]));
    assert.equal(request.endpoint?.port, 80);
    backend.update(target([]));
    assert.equal(demands(), 2, 'nobody waits');
  });

  it('refuses what does not fit the queue', () => {
    const { backend } = backendOf(target([]), 1);
    assert.equal(new Request().ask(backend).isRejected, false);
    assert.equal(new Request().ask(backend).isRejected, true);
  });

  it('keeps a request whose connect failed at the head, and lets the endpoint rest', async () => {
    const { backend, clock } = backendOf(target([80], 1));
    const first = new Request().ask(backend);
    const second = new Request().ask(backend);
    const { endpoint } = first;
    assert.ok(endpoint !== undefined);
    first.endpoint = undefined;
    backend.retry(first, endpoint);
    assert.equal(first.endpoint, undefined);
    await clock.advance(10);
    assert.equal(first.endpoint, endpoint);
    assert.equal(second.endpoint, undefined);
  });

  it('tries another endpoint at once when one refuses', () => {
    const { backend } = backendOf(target([80, 81], 1));
    const request = new Request().ask(backend);
    const refused = request.endpoint;
    assert.ok(refused !== undefined);
    backend.retry(request, refused);
    assert.notEqual(request.endpoint, refused);
    assert.notEqual(request.endpoint, undefined);
  });

  it('starts nothing on an endpoint that has gone, and forgets it after its last request', () => {
    const { backend } = backendOf(target([80]));
    const running = new Request().ask(backend);
    backend.update(target([]));
    const waiting = new Request().ask(backend);
    assert.equal(waiting.endpoint, undefined);
    assert.equal([...backend.endpoints()].length, 1);
    running.end(backend);
    assert.equal([...backend.endpoints()].length, 0);
    assert.ok(waiting.isQueued);
  });

  it('takes endpoints in turn, from the first, where several requests may share one', () => {
    const { backend } = backendOf(target([1, 2, 3], 4));
    const requests = Array.from({ length: 7 }, () => new Request().ask(backend));
    assert.deepEqual(portsOf(requests), [1, 2, 3, 1, 2, 3, 1]);
  });

  it('says whether an endpoint is ready', () => {
    const { backend } = backendOf(target([]));
    const seen = [[80], [80, 81], []].map((ports) => {
      backend.update(target(ports));
      return backend.hasReadyEndpoints;
    });
    assert.deepEqual(seen, [true, true, false]);
  });

  it('takes over new limits', () => {
    const { backend } = backendOf(target([80], 1));
    const requests = Array.from({ length: 4 }, () => new Request().ask(backend));
    assert.deepEqual(portsOf(requests), [80, undefined, undefined, undefined]);
    backend.update(target([80], 2));
    assert.deepEqual(portsOf(requests), [80, 80, undefined, undefined]);
    backend.update(target([80], 0));
    assert.deepEqual(portsOf(requests), [80, 80, 80, 80]);
    assert.equal(backend.target.containerConcurrency, 0);
  });

  it('asks for a pod only when nothing is ready', () => {
    const { backend, demands } = backendOf(target([80], 1));
    const running = new Request().ask(backend);
    new Request().ask(backend);
    running.failConnect(backend);
    assert.equal(demands(), 0);
    const another = backendOf(target([80], 1));
    const lost = new Request().ask(another.backend);
    another.backend.update(target([]));
    lost.failConnect(another.backend);
    assert.equal(another.demands(), 1);
  });

  it('keeps the endpoints that stay, and closes what is idle of those that go', () => {
    const { backend } = backendOf(target([80, 81]));
    const [stays, goes] = [...backend.endpoints()];
    const closed: number[] = [];
    for (const endpoint of [stays, goes]) {
      if (endpoint !== undefined) endpoint.pool = poolOf(() => closed.push(endpoint.port));
    }
    backend.update(target([80]));
    assert.deepEqual([...backend.endpoints()], [stays]);
    assert.deepEqual(closed, [81]);
    backend.close();
    assert.deepEqual(closed, [81, 80]);
  });

  it('takes an address for another endpoint when another protocol is spoken there', () => {
    const { backend } = backendOf(target([80]));
    const [plain] = backend.endpoints();
    const running = new Request().ask(backend);
    const speaking = (protocol: string) => ({ ...target([]), endpoints: [{ host: '127.0.0.1', port: 80, protocol }] });
    backend.update(speaking('http1'));
    assert.deepEqual([...backend.endpoints()], [plain]);
    backend.update(speaking('other'));
    assert.deepEqual(
      [...backend.endpoints()].map(({ protocol, isReady }) => [protocol, isReady]),
      [
        ['http1', false],
        ['other', true],
      ],
    );
    running.end(backend);
    assert.deepEqual(
      [...backend.endpoints()].map(({ protocol }) => protocol),
      ['other'],
    );
  });

  it('forgets an endpoint that has gone with its last request, whether that ended or could not connect', () => {
    const { backend } = backendOf(target([80]));
    const requests = Array.from({ length: 3 }, () => new Request().ask(backend));
    const known: number[] = [];
    const count = () => known.push([...backend.endpoints()].length);
    requests[0]?.end(backend);
    count();
    backend.update(target([]));
    requests[1]?.end(backend);
    count();
    requests[2]?.failConnect(backend);
    count();
    assert.deepEqual(known, [1, 1, 0]);
  });

  it('knows an endpoint still that refused its only request', () => {
    const { backend } = backendOf(target([80]));
    new Request().ask(backend).failConnect(backend);
    assert.equal([...backend.endpoints()].length, 1);
  });

  it('starts what waits in order, but for what left the queue and what came back to its head', () => {
    const { backend } = backendOf(target([80], 1));
    const running = new Request().ask(backend);
    const [a, b, c, d, e] = Array.from({ length: 5 }, () => new Request().ask(backend)) as [
      Request,
      Request,
      Request,
      Request,
      Request,
    ];
    const started: Request[] = [];
    const names = new Map([a, b, c, d, e, running].map((request, at) => [request, 'abcdeR'[at]]));
    const next = (current: Request) => {
      current.end(backend);
      const one = [a, b, c, d, e, running].find((request) => request.endpoint !== undefined);
      if (one !== undefined) started.push(one);
      return one ?? running;
    };
    backend.cancel(c); // Of the middle,
    backend.cancel(a); // the head,
    backend.cancel(e); // and the end.
    backend.cancel(e); // Not there any more.
    assert.deepEqual([backend.queued, a.isQueued, c.isQueued, e.isQueued], [2, false, false, false]);
    c.ask(backend); // b d c
    const first = next(running);
    assert.equal(first, b);
    running.ask(backend); // d c R
    const second = next(b);
    e.ask(backend); // c R e
    const third = next(second);
    const fourth = next(third);
    const fifth = next(fourth);
    assert.deepEqual(
      started.map((request) => names.get(request)),
      ['b', 'd', 'c', 'R', 'e'],
    );
    fifth.end(backend);
    assert.equal(backend.queued, 0);
    assert.equal(a.ask(backend).endpoint?.port, 80);
  });

  it('puts what could not connect before what waits, and each leaves the queue from where it stands', async () => {
    const { backend, clock } = backendOf(target([80], 2));
    const [first, second] = [new Request().ask(backend), new Request().ask(backend)];
    const waiting = new Request().ask(backend);
    first.failConnect(backend);
    second.failConnect(backend);
    assert.deepEqual([backend.queued, first.isQueued, second.isQueued], [3, true, true]);
    backend.cancel(first); // Between the second and the one that waited.
    await clock.advance(20);
    assert.deepEqual(portsOf([first, second, waiting]), [undefined, 80, 80]);
    assert.deepEqual([backend.queued, second.isQueued, waiting.isQueued], [0, false, false]);
    assert.ok(
      [first, second, waiting].every((one) => one.previousWaiter === undefined && one.nextWaiter === undefined),
    );
  });

  it('puts what could not connect at the head of an empty queue, and others behind it', async () => {
    const { backend, clock } = backendOf(target([80], 1));
    const refused = new Request().ask(backend);
    refused.failConnect(backend);
    const behind = new Request().ask(backend);
    assert.equal(backend.queued, 2);
    await clock.advance(6);
    assert.deepEqual(portsOf([refused, behind]), [80, undefined]);
    refused.end(backend);
    assert.deepEqual(portsOf([behind]), [80]);
    assert.equal(backend.queued, 0);
  });

  it('tries an endpoint again as soon as it has rested, those that wait first', async () => {
    const { backend, clock } = backendOf(target([80], 2));
    const refused = new Request().ask(backend);
    refused.failConnect(backend);
    await clock.advance(4);
    assert.equal(new Request().ask(backend).endpoint, undefined);
    await clock.advance(1);
    const newcomer = new Request().ask(backend);
    assert.equal(newcomer.endpoint, undefined, 'nobody overtakes');
    await clock.advance(1);
    assert.equal(refused.endpoint?.port, 80);

    const empty = backendOf(target([80], 2));
    const gone = new Request().ask(empty.backend);
    gone.failConnect(empty.backend);
    empty.backend.cancel(gone);
    await empty.clock.advance(5);
    assert.equal(new Request().ask(empty.backend).endpoint?.port, 80);
  });

  it('wakes when the first of several endpoints has rested, and again for the next failure', async () => {
    const { backend, clock } = backendOf(target([80, 81], 1));
    const refused = new Request().ask(backend);
    refused.failConnect(backend); // 80 rests for 5 ms; it is at 81 by now.
    refused.failConnect(backend); // 81 rests as well.
    assert.deepEqual(portsOf([refused]), [undefined]);
    await clock.advance(6);
    assert.deepEqual(portsOf([refused]), [80]);
    refused.failConnect(backend); // 80 rests for 10 ms; it is at 81.
    refused.failConnect(backend); // 81 rests for 10 ms.
    await clock.advance(4);
    const behind = new Request().ask(backend);
    await clock.advance(7);
    assert.deepEqual(portsOf([refused, behind]), [80, 81]);
  });

  it('wakes for the endpoint that has rested first, not the last', async () => {
    const { backend, clock } = backendOf(target([80, 81], 1));
    const request = new Request().ask(backend);
    request.failConnect(backend); // It is at 81 now, and 80 rests until 5.
    await clock.advance(3);
    request.failConnect(backend); // Now 81 rests, too, until 8.
    await clock.advance(3);
    assert.deepEqual(portsOf([request]), [80]);
  });

  it('has one timer while something rests and waits, and none otherwise', async () => {
    const { backend, clock } = backendOf(target([80], 1));
    const running = new Request().ask(backend);
    const waiting = new Request().ask(backend);
    backend.pump();
    assert.equal(clock.timers, 0, 'a busy endpoint does not rest');
    backend.cancel(waiting);
    running.failConnect(backend);
    backend.pump();
    backend.pump();
    assert.equal(clock.timers, 1);
    await clock.advance(6);
    assert.equal(clock.timers, 0);
    running.failConnect(backend);
    assert.equal(clock.timers, 1);
    backend.close();
    assert.equal(clock.timers, 0);
  });

  it('never exceeds a limit, never leaves a free slot while a request waits, and loses no request', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('ask' as const) }),
      fc.record({ do: fc.constant('end' as const), at: fc.nat(30) }),
      fc.record({ do: fc.constant('cancel' as const), at: fc.nat(30) }),
      fc.record({ do: fc.constant('update' as const), ports: fc.uniqueArray(fc.integer({ min: 1, max: 4 })) }),
    );
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2, 5), fc.array(step, { maxLength: 60 }), (containerConcurrency, steps) => {
        const { backend } = backendOf(target([1], containerConcurrency), 10);
        const requests: Request[] = [];
        let ready = 1;
        for (const one of steps) {
          if (one.do === 'ask') requests.push(new Request().ask(backend));
          else if (one.do === 'end') requests[one.at]?.end(backend);
          else if (one.do === 'cancel') backend.cancel(requests[one.at] ?? new Request());
          else if (one.do === 'update') {
            backend.update(target(one.ports, containerConcurrency));
            ready = one.ports.length;
          }
          const running = requests.filter((request) => request.endpoint !== undefined);
          for (const endpoint of backend.endpoints()) {
            assert.equal(endpoint.inFlight, running.filter((request) => request.endpoint === endpoint).length);
            if (containerConcurrency > 0) assert.ok(endpoint.inFlight <= containerConcurrency);
          }
          assert.equal(backend.queued, requests.filter((request) => request.isQueued).length);
          const free = [...backend.endpoints()].filter(
            (endpoint) => endpoint.isReady && (containerConcurrency === 0 || endpoint.inFlight < containerConcurrency),
          );
          if (backend.queued > 0) assert.equal(free.length, 0);
          assert.equal([...backend.endpoints()].filter((endpoint) => endpoint.isReady).length, ready);
        }
      }),
    );
  });

  it('starts any number of requests that end while they start, in the order of their arrival', () => {
    const count = 20_000;
    const { backend } = backendOf(target([]), count);
    const started: number[] = [];
    class Ending extends Request {
      readonly at: number;

      constructor(at: number) {
        super();
        this.at = at;
      }

      override start(endpoint: Endpoint): void {
        started.push(this.at);
        backend.release(endpoint);
      }
    }
    for (let at = 0; at < count; at++) new Ending(at).ask(backend);
    backend.update(target([80], 1));
    assert.deepEqual([started.length, started.at(-1), backend.queued], [count, count - 1, 0]);
    assert.deepEqual(
      started,
      started.toSorted((a, b) => a - b),
    );
  });

  it('starts the others after one whose start has thrown', () => {
    const { backend } = backendOf(target([]));
    const failing = new Request();
    failing.start = () => {
      throw new Error('a fault');
    };
    const [, next] = [failing.ask(backend), new Request().ask(backend)];
    assert.throws(() => backend.update(target([80])), /a fault/);
    backend.pump();
    assert.equal(next.endpoint?.port, 80);
  });
});
