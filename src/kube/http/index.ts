export type { Connection } from './connection.ts';
export { discover } from './discovery.ts';
export { httpClient, httpTransport } from './http-client.ts';
export { inCluster, ownNamespace } from './in-cluster.ts';
export { collectionPath, objectPath } from './paths.ts';
export type { Transport } from './transport.ts';
