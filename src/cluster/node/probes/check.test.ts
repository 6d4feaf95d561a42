import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import type { Probe } from '../../../api/core/pod-spec.ts';
import type { PodAddresses, PortMap, RunningContainer, Streams } from '../driver.ts';
import { checkOf, portOf } from './check.ts';

const http = createServer((request, response) => {
  if (request.url === '/silent') return;
  if (request.url === '/interim') {
    const more = () => {
      for (let i = 0; i < 50 && !response.destroyed; i++) response.writeProcessing();
      if (!response.destroyed) setImmediate(more);
    };
    return more();
  }
  if (request.url === '/endless') {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', more);
    return more();
  }
  if (request.url === '/slow') {
    const drip = setInterval(() => request.socket.write('HTTP/1.1 200 OK\r\nx: y'.slice(0, 1)), 5);
    request.socket.on('close', () => clearInterval(drip));
    return;
  }
  const [, status, ...to] = request.url?.split('/') ?? [];
  const location = decodeURIComponent(to.join('/')) || '/500';
  response.writeHead(Number(status) || 200, { location });
  response.end(request.headers['x-probe'] ?? 'the body');
});
const silent = createTcpServer(() => {});
describe('a check of a probe', () => {
  let httpPort: number;
  let silentPort: number;

  before(async () => {
    await Promise.all([http, silent].map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
    httpPort = (http.address() as AddressInfo).port;
    silentPort = (silent.address() as AddressInfo).port;
  });
  after(() => {
    http.closeAllConnections();
    http.close();
    silent.close();
  });

  function check(probe: Probe) {
    const running = {
      exec: async (command: readonly string[]): Promise<Streams> => ({
        stdin: undefined,
        stdout: Readable.from([Buffer.from('said so\n')]),
        stderr: undefined,
        exited: Promise.resolve(Number(command[0])),
      }),
    } as unknown as RunningContainer;
    const addresses: PodAddresses = { ips: ['127.0.0.1'], ports: { 8080: httpPort, 9: silentPort } };
    const env = [{ name: 'CODE', value: '0' }];
    const container = { name: 'c', env, ports: [{ name: 'web', containerPort: 8080 }] };
    return checkOf({ probe, container, running, addresses })();
  }

  for (const [what, probe, expected] of [
    ['200', { httpGet: { path: '/200', port: 8080 } }, undefined],
    ['a redirect to what succeeds', { httpGet: { path: '/302//200', port: 'web' } }, undefined],
    ['a redirect to what fails', { httpGet: { path: '/302', port: 'web' } }, /statuscode: 500/],
    ['a redirect that goes round', { httpGet: { path: '/302/self', port: 8080 } }, /stopped after 10 redirects/],
    ['a redirect to nowhere', { httpGet: { path: '/302/ftp:%2F%2Fx', port: 8080 } }, undefined],
    ['404', { httpGet: { path: '/404', port: 8080 } }, /statuscode: 404/],
    [
      'no answer in time',
      { httpGet: { path: '/silent', port: 8080 }, timeoutSeconds: 0.05 },
      /^Get "http:\/\/127.0.0.1:\d+\/silent": context deadline exceeded \(Client.Timeout exceeded while awaiting/,
    ],
    ['no HTTP', { httpGet: { path: '/', port: 9 }, timeoutSeconds: 0.05 }, /deadline exceeded/],
    ['interim answers without end', { httpGet: { path: '/interim', port: 8080 }, timeoutSeconds: 60 }, /interim/],
    ['a body without end', { httpGet: { path: '/endless', port: 8080 } }, undefined],
    [
      'a head that never ends',
      { httpGet: { path: '/slow', port: 8080 }, timeoutSeconds: 0.2 },
      /Get "http:\/\/127.0.0.1:\d+\/slow"/,
    ],
    ['a port that there cannot be', { httpGet: { path: '/', port: 99_999 } }, /couldn't find port: 99999/],
    ['a port that has no such name', { tcpSocket: { port: 'nope' } }, /couldn't find port: "nope"/],
    ['a path that cannot be asked for', { httpGet: { path: '/a b\u20ac', port: 8080 } }, /unescaped characters/],
    [
      'a header that cannot be sent',
      { httpGet: { port: 8080, httpHeaders: [{ name: 'a b', value: 'c\nd' }] } },
      /must be a valid HTTP token/i,
    ],
    ['a timeout of years', { httpGet: { path: '/200', port: 8080 }, timeoutSeconds: 2 ** 31 }, undefined],
    ['a TCP listener', { tcpSocket: { port: 8080 } }, undefined],
    [
      'no listener',
      { tcpSocket: { port: 1 } },
      /^dial tcp 127.0.0.1:1: connect: connection refused: the program must listen on the port that PORT says/,
    ],
    ['a command that succeeds', { exec: { command: ['0'] } }, undefined],
    ['a command that fails', { exec: { command: ['3'] } }, /said so/],
    ['a command that refers to a variable', { exec: { command: ['$(CODE)'] } }, undefined],
    ['a server that is none of gRPC', { grpc: { port: 8080 } }, /^(error|timeout): /],
    ['a gRPC server that never answers', { grpc: { port: 9 }, timeoutSeconds: 0.05 }, /within 0.05s: context deadline/],
    ['no gRPC server', { grpc: { port: 1 } }, /^timeout: failed to connect service "127.0.0.1:1" within 1s: /],
    ['no action at all', {}, undefined],
  ] as const) {
    test(`a probe that meets ${what} ${expected ? 'fails' : 'succeeds'}`, async () => {
      const result = await check(probe as Probe);
      assert.equal(result.isSuccess, expected === undefined);
      if (expected && !result.isSuccess) assert.match(result.message, expected);
    });
  }

  test('a redirect to another host is a success with a warning', async () => {
    const result = await check({ httpGet: { path: '/301/http:%2F%2Fexample.com%2F', port: 8080 } });
    assert.deepEqual(result, { isSuccess: true, warning: 'Probe terminated redirects, Response body: the body' });
  });

  test('a port is found by number or name, and mapped', () => {
    const container = { ports: [{ name: 'web', containerPort: 8080 }] };
    const at = (ports: PortMap): PodAddresses => ({ ips: ['127.0.0.1'], ports });
    assert.equal(portOf('web', container, at({ 8080: 4 })), 4);
    assert.equal(portOf(8080, container, at({})), 8080);
    assert.equal(portOf('9000', container, at({})), 9000);
    assert.throws(() => portOf('nope', container, at({})), /couldn't find port: "nope"/);
  });
});
