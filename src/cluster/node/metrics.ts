import type { Metrics } from '../../observe/metrics.ts';

/** What the node agent counts. */
export interface NodeMetrics {
  running: { set(value: number): void };
  starts: { inc(labels: { result: 'ok' | 'failed' }): void };
  startSeconds: { observe(seconds: number): void };
  pullSeconds: { observe(seconds: number): void };
}

export function nodeMetrics(metrics: Metrics): NodeMetrics {
  return {
    running: metrics.gauge('kittiwake_node_pods', 'Pods that this node runs'),
    starts: metrics.counter('kittiwake_node_container_starts_total', 'Starts of containers', ['result']),
    startSeconds: metrics.histogram(
      'kittiwake_node_pod_start_seconds',
      'From seeing a pod for the first time to writing that it is ready, in seconds; without pulls that take longer',
    ),
    pullSeconds: metrics.histogram('kittiwake_node_image_pull_seconds', 'Pulling and unpacking an image, in seconds'),
  };
}
