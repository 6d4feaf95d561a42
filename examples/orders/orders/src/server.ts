import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { nanoid } from 'nanoid';
import { emit } from './events.ts';
import { checkOrder, totalCents } from './order.ts';

const currency = process.env.CURRENCY ?? 'EUR';
const bodyBytesMax = 64 * 1024;

const server = createServer(async (request, response) => {
  try {
    if (request.method === 'POST' && request.url === '/orders') await placeOrder(request, response);
    else if (request.url === '/') answer(response, 200, { service: 'orders', try: 'POST /orders' });
    else answer(response, 404, { error: `no such page: ${request.method} ${request.url}; try POST /orders` });
  } catch (error) {
    console.error(error);
    answer(response, 500, { error: error instanceof Error ? error.message : String(error) });
  }
});

async function placeOrder(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const checked = checkOrder(await readJson(request));
  if ('problems' in checked) return answer(response, 422, { error: 'not a valid order', problems: checked.problems });
  const placed = { id: nanoid(12), ...checked.order, currency, totalCents: totalCents(checked.order) };
  await emit({ id: placed.id, type: 'order.placed', source: '/orders', data: placed }, request.headers.traceparent);
  console.log(`order ${placed.id} placed by ${placed.customer}: ${placed.totalCents} cents`);
  answer(response, 202, placed);
}

/** The body as JSON; undefined, which is no valid order, when it is no JSON or too large. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return undefined;
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}

server.listen(Number(process.env.PORT ?? 8080), () => console.log(`orders listens on ${process.env.PORT ?? 8080}`));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
