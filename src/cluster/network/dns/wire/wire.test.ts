import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { rcodes, types, udpBytesMax } from './constants.ts';
import { type FoundRecord, type Message, negativeTtl, readMessage, withoutOptions } from './message.ts';
import { isName, keyOf, MalformedError, type Name, nameOf, readName } from './name.ts';
import { type Query, readQuery } from './query.ts';
import { addressBytes, encodeReply, encodeTruncated, type ResourceRecord } from './reply.ts';

/** A question as a client writes it. */
function questionBytes(name: Name, type: number = types.A): Buffer {
  const labels = name.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([...labels, Buffer.of(0, 0, type, 0, 1)]);
}

const head = (counts: number[], bits = 0x0100) => {
  const bytes = Buffer.alloc(12);
  [0x1234, bits, ...counts].forEach((word, i) => void bytes.writeUInt16BE(word, 2 * i));
  return bytes;
};

const opt = (size: number, more: { version?: number; dnssec?: boolean } = {}) =>
  Buffer.from([0, 0, 41, size >> 8, size & 255, 0, more.version ?? 0, more.dnssec ? 0x80 : 0, 0, 0, 0]);

function query(name: Name, options?: Buffer): Query {
  const counts = [1, 0, 0, options ? 1 : 0];
  const received = readQuery(Buffer.concat([head(counts), questionBytes(name), ...(options ? [options] : [])]));
  assert.ok(received.is === 'query');
  return received.query;
}

const label = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const name = fc.array(label, { maxLength: 10 }).filter((labels) => isName(labels));
const ttl = fc.nat(86_400);
const u16 = fc.nat(0xffff);
const record: fc.Arbitrary<ResourceRecord> = fc.oneof(
  fc.record({ name, ttl, type: fc.constant('A' as const), address: fc.ipV4() }),
  fc.record({ name, ttl, type: fc.constant('AAAA' as const), address: fc.ipV6() }),
  fc.record({ name, ttl, type: fc.constantFrom('CNAME' as const, 'PTR' as const, 'NS' as const), target: name }),
  fc.record({ name, ttl, type: fc.constant('SRV' as const), priority: u16, weight: u16, port: u16, target: name }),
);

describe('the wire format', () => {
  test('names come back as they were written, pointed to or not', () => {
    fc.assert(
      fc.property(name, fc.array(record, { maxLength: 20 }), (asked, answers) => {
        const question = query(asked, opt(4096));
        const bytes = encodeReply(question, { rcode: 0, isAuthoritative: true, answers }, 65_535);
        const message = readMessage(bytes);
        assert.equal(message.id, 0x1234);
        assert.deepEqual(message.question.name, asked);
        const found = message.records.filter(({ section }) => section === 'answer');
        assert.equal(found.length, answers.length);
        found.forEach((one, i) => {
          const sent = answers[i] as ResourceRecord;
          assert.equal(keyOf(one.name), keyOf(sent.name));
          assert.equal(one.ttl, sent.ttl);
          if (sent.type === 'CNAME') assert.equal(keyOf(targetOf(message, one)), keyOf(sent.target));
          if (sent.type === 'SRV') assert.equal(keyOf(readName(bytes, one.dataAt + 6, false).name), keyOf(sent.target));
          if (sent.type === 'A') assert.deepEqual(dataOf(message, one), addressBytes(sent.address));
        });
      }),
    );
  });

  test('a reply never is longer than it may be; what does not fit is left out, and said', () => {
    const endpoints = Array.from({ length: 200 }, (_, i): ResourceRecord => {
      return { name: nameOf('db.shop.svc.cluster.local'), ttl: 5, type: 'A', address: `10.244.1.${i}` };
    });
    const asked = query(nameOf('DB.shop.svc.cluster.local'));
    assert.equal(asked.udpBytesMax, 512);
    const bytes = encodeReply(asked, { rcode: 0, isAuthoritative: true, answers: endpoints }, asked.udpBytesMax);
    assert.ok(bytes.length <= 512 && bytes.length > 490);
    assert.equal(bytes.readUInt16BE(2) & 0x0200, 0x0200);
    assert.equal(
      bytes.readUInt16BE(6),
      Math.floor((512 - 12 - 31) / 16),
      'each takes 16 bytes: a pointer for the name',
    );
    const all = encodeReply(asked, { rcode: 0, isAuthoritative: true, answers: endpoints }, 65_535);
    assert.equal(readMessage(all).records.length, 200);
    assert.equal(encodeTruncated(asked).readUInt16BE(2) & 0x0200, 0x0200);
    const additional = encodeReply(asked, { rcode: 0, isAuthoritative: true, answers: [], additional: endpoints }, 512);
    assert.equal(additional.readUInt16BE(2) & 0x0200, 0, 'additional records spare a question, and no more');
  });

  test('a client with EDNS gets as much as it says, within bounds, and its own back', () => {
    assert.equal(query(['a'], opt(100)).udpBytesMax, 512);
    assert.equal(query(['a'], opt(1000)).udpBytesMax, 1000);
    const asked = query(['a'], opt(65_535, { dnssec: true }));
    assert.equal(asked.udpBytesMax, udpBytesMax);
    assert.deepEqual(asked.edns, { wantsDnssec: true });
    const bytes = encodeReply(asked, { rcode: rcodes.NXDOMAIN, isAuthoritative: true, answers: [] }, 512);
    const message = readMessage(bytes);
    assert.equal(message.rcode, rcodes.NXDOMAIN);
    assert.equal(message.records[0]?.type, types.OPT);
    assert.deepEqual(withoutOptions(message).records, []);
    assert.equal(withoutOptions(message).bytes.length, bytes.length - 11);
  });

  const circle = Buffer.concat([head([1, 0, 0, 0]), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
  const refused: [why: string, message: Buffer, rcode: number | undefined][] = [
    ['nothing', Buffer.alloc(0), undefined],
    ['less than a header', Buffer.alloc(11), undefined],
    ['a reply', Buffer.concat([head([1, 0, 0, 0], 0x8180), questionBytes(['a'])]), undefined],
    ['another kind of request', Buffer.concat([head([1, 0, 0, 0], 0x2800), questionBytes(['a'])]), rcodes.NOTIMP],
    ['no question', head([0, 0, 0, 0]), rcodes.FORMERR],
    ['two questions', Buffer.concat([head([2, 0, 0, 0]), questionBytes(['a']), questionBytes(['b'])]), rcodes.FORMERR],
    ['a question with answers', Buffer.concat([head([1, 9, 0, 0]), questionBytes(['a'])]), rcodes.FORMERR],
    ['half a question', Buffer.concat([head([1, 0, 0, 0]), questionBytes(['a']).subarray(0, 4)]), rcodes.FORMERR],
    ['a name that points to itself', circle, rcodes.FORMERR],
    ['a label beyond the end', Buffer.concat([head([1, 0, 0, 0]), Buffer.from([63, 97])]), rcodes.FORMERR],
    [
      'two sets of options',
      Buffer.concat([head([1, 0, 0, 2]), questionBytes(['a']), opt(512), opt(512)]),
      rcodes.FORMERR,
    ],
    [
      'options of a later version',
      Buffer.concat([head([1, 0, 0, 1]), questionBytes(['a']), opt(512, { version: 1 })]),
      16,
    ],
    ['many additional records', Buffer.concat([head([1, 0, 0, 99]), questionBytes(['a'])]), rcodes.FORMERR],
  ];
  for (const [why, message, rcode] of refused) {
    test(`${why} is refused, or not answered at all`, () => {
      const received = readQuery(message);
      assert.equal(received.is, rcode === undefined ? 'nothing' : 'refused');
      if (received.is === 'refused') assert.equal(received.rcode, rcode);
    });
  }

  test('whatever bytes come, a question is read or refused, and a reply is read or malformed', () => {
    const noise = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
    const near = fc.tuple(fc.constantFrom(0x0100, 0x8180), noise).map(([bits, rest]) => {
      return Buffer.concat([head([1, rest[0] ?? 0, 0, (rest[1] ?? 0) % 4], bits), rest]);
    });
    fc.assert(
      fc.property(fc.oneof(noise, near), (bytes) => {
        readQuery(bytes);
        try {
          readMessage(bytes);
        } catch (error) {
          assert.ok(error instanceof MalformedError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a dot in a label is none between two, and labels may hold any byte', () => {
    assert.notEqual(keyOf(['a.b']), keyOf(['a', 'b']));
    assert.equal(keyOf(['A', 'Ä']), keyOf(['a', 'Ä']));
    assert.ok(!isName(['x'.repeat(64)]) && !isName(Array.from({ length: 128 }, () => 'ab')));
  });

  test('a negative answer is one for as long as its SOA says', () => {
    const soa: ResourceRecord = {
      name: ['x'],
      ttl: 300,
      type: 'SOA',
      primary: ['a'],
      mailbox: ['b'],
      serial: 1,
      timers: [1, 2, 3, 17],
    };
    const reply = { rcode: rcodes.NXDOMAIN, isAuthoritative: true, answers: [], authorities: [soa] };
    assert.equal(negativeTtl(readMessage(encodeReply(query(['x']), reply, 512))), 17);
  });
});

const targetOf = ({ bytes }: Message, { dataAt }: FoundRecord) => readName(bytes, dataAt).name;
const dataOf = ({ bytes }: Message, { dataAt, dataBytes }: FoundRecord) => bytes.subarray(dataAt, dataAt + dataBytes);
