export interface OutgoingEvent {
  id: string;
  type: string;
  source: string;
  data: unknown;
}

/** Sends a CloudEvent in binary mode to K_SINK; resolves when the broker has it on disk. Throws when it is refused. */
export async function emit(event: OutgoingEvent, traceparent: string | undefined): Promise<void> {
  const sink = process.env.K_SINK;
  if (sink === undefined) throw new Error('K_SINK is not set: bind this service to a sink with a SinkBinding');
  const response = await fetch(sink, {
    method: 'POST',
    headers: {
      'ce-specversion': '1.0',
      'ce-id': event.id,
      'ce-type': event.type,
      'ce-source': event.source,
      'ce-time': new Date().toISOString(),
      'content-type': 'application/json',
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    body: JSON.stringify(event.data),
  });
  if (!response.ok) throw new Error(`the broker answered ${response.status}: ${await response.text()}`);
}
