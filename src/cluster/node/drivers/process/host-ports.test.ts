import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePorts } from './host-ports.ts';

for (const [what, text] of Object.entries({
  nothing: '',
  'no JSON': '{"8080":',
  'a port that is a text': '{"8080":"http"}',
  'a port that there is not': '{"8080":99999}',
  null: 'null',
  'a list': '[1]',
})) {
  test(`an annotation of ports that is ${what} says nothing`, () => assert.equal(parsePorts(text), undefined));
}

test('an annotation of ports says which of the host stand for those of the pod', () => {
  assert.deepEqual(parsePorts('{"8080":41235}'), { 8080: 41235 });
});
