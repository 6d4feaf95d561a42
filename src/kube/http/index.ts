export type { Connection } from './connection.ts';
export { httpClient } from './http-client.ts';
