/**
 * What came back other than wanted; `status` is the HTTP status, `code` the specification's word, when there was one.
 */
export class RegistryClientError extends Error {
  readonly status: number;
  readonly code: string | undefined;

  constructor(message: string, status: number, code?: string) {
    super(message);
    this.name = 'RegistryClientError';
    this.status = status;
    this.code = code;
  }
}
