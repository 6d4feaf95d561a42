import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as syntax from './syntax.ts';

const latin1 = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

describe("HTTP's syntax", () => {
  const tables: [name: string, characters: syntax.CharacterTable, grammar: RegExp][] = [
    ['a token', syntax.tokenCharacters, /[!#$%&'*+\-.^_`|~0-9A-Za-z]/],
    ['a field value', syntax.valueCharacters, /[\t\x20-\x7e\x80-\xff]/],
    ['a target', syntax.targetCharacters, /[\x21\x22\x24-\x7e]/],
    ['a host', syntax.hostCharacters, /[-._~0-9A-Za-z]/],
    ['an IPv6 address', syntax.ipv6Characters, /[:.0-9a-fA-F]/],
  ];
  for (const [name, characters, grammar] of tables) {
    it(`has for ${name} the characters of its grammar, and no others`, () => {
      const allowed = latin1.filter((character) => characters[character.charCodeAt(0)] === 1);
      assert.deepEqual(
        allowed,
        latin1.filter((character) => grammar.test(character)),
      );
    });
  }

  it('is broken with a status and words of its own', () => {
    const { name, status, message } = new syntax.HttpSyntaxError(400, 'why');
    assert.deepEqual([name, status, message], ['HttpSyntaxError', 400, 'why']);
  });

  it('tells tokens and values', () => {
    assert.deepEqual(['', 'a', 'a b', '(a', 'a)', 'a-b'].map(syntax.isToken), [false, true, false, false, false, true]);
    assert.deepEqual(['', 'a b', '\na', 'a\0'].map(syntax.isFieldValue), [true, true, false, false]);
  });

  const names: [text: string, start: number, name: string, isName: boolean][] = [
    ['host', 0, 'host', true],
    ['HOST', 0, 'host', true],
    ['AaZz-9', 0, 'aazz-9', true],
    ['xxHost', 2, 'host', true],
    ['hosts', 0, 'host', true],
    ['hos', 0, 'host', false],
    ['iost', 0, 'host', false],
    ['hosu', 0, 'host', false],
    ['@', 0, '`', false],
    ['[', 0, '{', false],
    ['\r', 0, '-', false],
  ];
  for (const [text, start, name, isName] of names) {
    it(`${isName ? 'finds' : 'does not find'} the name ${name} in ${JSON.stringify(text)} from ${start}`, () => {
      assert.equal(syntax.isName(text, start, name), isName);
    });
  }

  const hosts: [host: string, isHost: boolean][] = [
    ['a', true],
    ['a-b_c.~1', true],
    ['a:0', true],
    ['a:', true],
    ['a:65535', true],
    ['a:65536', false],
    ['a:000001', false],
    ['', false],
    [':80', false],
    ['[::]', true],
    ['[::1]:65535', true],
    ['[::1]:65536', false],
    ['[]', false],
    ['[:]', false],
    ['[g::1]', false],
    ['[::g]', false],
    ['[::1', false],
    ['/a', false],
    ['a/', false],
    ['a b', false],
    ['a:b', false],
    ['a:1:2', false],
  ];
  for (const [host, isHost] of hosts) {
    it(`${isHost ? 'takes' : 'does not take'} ${JSON.stringify(host)} for a host`, () => {
      assert.equal(syntax.isHost(host), isHost);
    });
  }

  const lengths: [text: string, length: number][] = [
    ['0', 0],
    ['9', 9],
    ['1234567890', 1_234_567_890],
    ['0000000000000001', 1],
    ['00000000000000001', -1],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', -1],
    ['', -1],
    ['1/', -1],
    ['1:', -1],
    ['/1', -1],
    ['+1', -1],
  ];
  for (const [text, length] of lengths) {
    it(`reads the length ${JSON.stringify(text)} as ${length}`, () => assert.equal(syntax.parseLength(text), length));
  }
});
