import { request } from 'node:http';

/** From the request to the first byte of its answer; while nobody listens it connects again at once. */
export async function firstAnswerMs(host: string, port: number, hostHeader: string): Promise<number> {
  const begunMs = performance.now();
  const deadlineMs = begunMs + 30_000;
  for (;;) {
    try {
      await answer(host, port, hostHeader);
      return performance.now() - begunMs;
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException;
      if (!['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH'].includes(code) || performance.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

function answer(host: string, port: number, hostHeader: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, headers: { host: hostHeader }, agent: false }, (response) => {
      response.resume();
      // What the program says of an empty folder is an answer, too; the gateway's own errors are not.
      if ((response.statusCode ?? 500) < 500) resolve();
      else reject(new Error(`HTTP ${response.statusCode}`));
    });
    outgoing.once('error', reject).end();
  });
}
