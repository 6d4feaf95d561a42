/** Numbers of RFC 1035, 2782, 3596 and 6891. */
export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const classes = { IN: 1 } as const;

export const rcodes = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export type Rcode = (typeof rcodes)[keyof typeof rcodes];

/** Bits of the header's second word. */
export const flags = {
  isReply: 0x8000,
  opcode: 0x7800,
  isAuthoritative: 0x0400,
  isTruncated: 0x0200,
  wantsRecursion: 0x0100,
  hasRecursion: 0x0080,
  isAuthentic: 0x0020,
  isCheckingDisabled: 0x0010,
  rcode: 0x000f,
} as const;

/** `DO`, in the TTL of OPT. */
export const wantsDnssec = 0x8000;

export const headerBytes = 12;

/** How long a reply over UDP may be where its client says nothing, and at most: fragments get lost (Flag Day 2020). */
export const udpBytesDefault = 512;
export const udpBytesMax = 1232;
