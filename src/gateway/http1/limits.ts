/** Bounds of one message, in bytes unless named otherwise. */
export interface MessageLimits {
  /** The whole head, request or status line included: 431 beyond it. */
  headBytes: number;
  /** The request target: 414 beyond it. */
  targetBytes: number;
  /** How many fields a head or a trailer section holds: 431 beyond it. */
  fieldCount: number;
  /** The trailer section of a chunked body. */
  trailerBytes: number;
  /** Chunk extensions of one body beyond as many bytes as its chunks carry. */
  extensionBytes: number;
}

export const defaultMessageLimits: MessageLimits = {
  headBytes: 64 * 1024,
  targetBytes: 16 * 1024,
  fieldCount: 256,
  trailerBytes: 16 * 1024,
  extensionBytes: 4 * 1024,
};
