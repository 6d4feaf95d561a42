import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cronOf, type PingSource, PingSourceKind, type PingSourceSpec } from './ping-source.ts';

const sink = { uri: 'http://sink.example/' };

function errorsOf(spec: Partial<PingSourceSpec>): string {
  const source = { apiVersion: '', kind: '', metadata: { name: 'p' }, spec: { sink, ...spec } } as PingSource;
  return (PingSourceKind.validate?.(source, { config: {} }) ?? []).map((e) => `${e.field}: ${e.message}`).join('\n');
}

test('schedules with five fields, with seconds and with names are taken', () => {
  for (const schedule of ['* * * * *', '*/5 * * * *', '0 2 * * 1-5', '30 0 2 * * *', '0 0 1 JAN *', '@daily']) {
    assert.equal(errorsOf({ schedule }), '', schedule);
  }
});

test('what is wrong with a ping source is said with its value', () => {
  const table: [spec: Partial<PingSourceSpec>, says: RegExp][] = [
    [{ schedule: '@every 5m' }, /spec\.schedule: .*"@every 5m": @every is not supported/],
    [{ schedule: '* * * *' }, /has 4 fields/],
    [{ schedule: '61 * * * *' }, /spec\.schedule: .*"61 \* \* \* \*"/],
    [{ schedule: 'often' }, /has 1 fields/],
    [{ timezone: 'Europe/Nowhere' }, /spec\.timezone: .*"Europe\/Nowhere"/],
    [{ data: 'a', dataBase64: 'YQ==' }, /spec\.dataBase64: .*keep one/],
    [{ dataBase64: '?' }, /must be base64/],
    [{ contentType: 'application/json', data: '{' }, /spec\.data: .*must be JSON/],
    [{ sink: {} }, /spec\.sink: Required value/],
    [{ ceOverrides: { extensions: { id: 'x' } } }, /"id" is not an extension/],
  ];
  for (const [spec, says] of table) assert.match(errorsOf(spec), says, JSON.stringify(spec));
});

test('a schedule is in its time zone, over the change to summer time too', () => {
  const cron = cronOf({ schedule: '0 9 * * *', timezone: 'Europe/Berlin' });
  assert.equal(cron.nextRun(new Date('2026-03-28T12:00:00Z'))?.toISOString(), '2026-03-29T07:00:00.000Z');
  assert.equal(cron.nextRun(new Date('2026-03-27T12:00:00Z'))?.toISOString(), '2026-03-28T08:00:00.000Z');
});
