import { protocols } from '../../protocols.ts';
import type { Protocols } from '../../sides.ts';
import { FramesConnection } from './downstream.ts';
import { preface } from './link.ts';
import { FramesPool } from './upstream.ts';

/** The gateway's own protocols, and a toy that carries many exchanges over one connection, on both sides. */
export const withFrames: Protocols = {
  ...protocols,
  announced: { [preface]: (...args) => new FramesConnection(...args) },
  upstream: { ...protocols.upstream, frames: (context, endpoint) => new FramesPool(context, endpoint) },
};
