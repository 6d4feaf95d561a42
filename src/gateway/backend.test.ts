import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { Backend, type Waiter } from './backend.ts';
import type { Endpoint } from './endpoint.ts';
import { defaultTarget, type RevisionTarget } from './snapshot.ts';

class Request implements Waiter {
  previousWaiter: Waiter | undefined;
  nextWaiter: Waiter | undefined;
  isQueued = false;
  endpoint: Endpoint | undefined;
  isRejected = false;

  start(endpoint: Endpoint): void {
    this.endpoint = endpoint;
  }

  ask(backend: Backend): this {
    const got = backend.acquire(this);
    if (got === 'full') this.isRejected = true;
    else if (got !== 'queued') this.endpoint = got;
    return this;
  }

  end(backend: Backend): void {
    const { endpoint } = this;
    this.endpoint = undefined;
    if (endpoint !== undefined) backend.release(endpoint);
  }
}

function target(ports: readonly number[], containerConcurrency = 0): RevisionTarget {
  const endpoints = ports.map((port) => ({ host: '127.0.0.1', port }));
  return { ...defaultTarget('default', 'r'), containerConcurrency, endpoints };
}

function backendOf(initial: RevisionTarget, queueMax = 100) {
  const clock = new VirtualClock();
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
});
