import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Quarantine } from '../lib/quarantine.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { GatewayCounters } from './context.ts';
import { defaultLimits } from './limits.ts';
import { exposeMetrics } from './metrics.ts';
import { protocols } from './protocols.ts';
import { Router } from './router.ts';
import { routesOf } from './testing/fixture.ts';

describe("the gateway's metrics", () => {
  it('count requests, their durations and their queue by revision, in Prometheus text', async () => {
    const clock = new VirtualClock();
    const router = new Router({ clock, queueMax: 1, onDemand() {} });
    router.apply(routesOf([80]));
    const [backend] = router.backends();
    backend?.counters.arrive(0);
    backend?.counters.end(3, 3, 1);
    backend?.counters.arrive(4);
    const metrics = new Metrics('gateway');
    const counters = new GatewayCounters();
    counters.localReplies.set(404, 2);
    exposeMetrics(metrics, {
      router,
      protocols,
      limits: defaultLimits,
      clock,
      log: silentLogger,
      isInside: () => true,
      coarseMs: 0,
      dateField: '',
      isDraining: false,
      counters,
      connections: new Set(),
      accessLogEvery: 0,
      quarantine: new Quarantine(),
      reportFault() {},
    });
    const text = await metrics.text();
    const labels = 'namespace="default",revision="hello-00001"';
    for (const line of [
      `kittiwake_gateway_requests_total{${labels},code_class="2xx",role="gateway"} 1`,
      `kittiwake_gateway_request_duration_seconds_bucket{${labels},le="0.0025",role="gateway"} 0`,
      `kittiwake_gateway_request_duration_seconds_bucket{${labels},le="0.005",role="gateway"} 1`,
      `kittiwake_gateway_request_duration_seconds_bucket{${labels},le="+Inf",role="gateway"} 1`,
      `kittiwake_gateway_request_duration_seconds_count{${labels},role="gateway"} 1`,
      `kittiwake_gateway_requests_active{${labels},role="gateway"} 1`,
      'kittiwake_gateway_local_replies_total{code="404",role="gateway"} 2',
    ]) {
      assert.ok(text.includes(`\n${line}\n`), line);
    }
  });
});
