export type { Connection } from './connection.ts';
export { httpClient, httpTransport } from './http-client.ts';
export { collectionPath, objectPath } from './paths.ts';
export type { Transport } from './transport.ts';
