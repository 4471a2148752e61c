import { describe, expect, test } from 'bun:test';
import { readJwt } from '../../../../lib/cli/settings/jwt.ts';
import { jwt, KEYS } from '../supabase-keys.ts';

function problem(text: string): string {
  const read = readJwt(text);
  if (read.kind === 'none') return read.problem;
  throw new Error('it was taken for a JWT');
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('readJwt()', () => {
  test('reads the claims that there are', () => {
    expect(readJwt(KEYS.service)).toEqual({
      kind: 'claims',
      claims: { role: 'service_role', ref: 'projectrefprojectref', exp: 4_000_000_000 },
    });
    expect(readJwt(jwt({ role: 7, ref: null, exp: '1' }))).toEqual({
      kind: 'claims',
      claims: { role: undefined, ref: undefined, exp: undefined },
    });
  });

  test('tells what is cut off, wherever that was', () => {
    const [header, payload] = KEYS.service.split('.') as [string, string];
    expect(problem(header)).toBe('1 of 3 parts');
    expect(problem(`${header}.${payload}`)).toBe('2 of 3 parts');
    expect(problem(`${header}.${payload}.`)).toBe('its signature has 0 of 43 letters');
    expect(problem(KEYS.service.slice(0, -1))).toBe('its signature has 42 of 43 letters');
    expect(problem(`${KEYS.service}s`)).toBe('its signature has 44 of 43 letters');
    expect(problem(KEYS.service.slice(1))).toBe('its first part is no JSON in base64url');
    expect(problem(`${header}.${payload.slice(0, -5)}.${'s'.repeat(43)}`)).toBe(
      'its second part is no JSON in base64url',
    );
    expect(problem(`${KEYS.service}.x`)).toBe('4 of 3 parts');
  });

  test('takes nothing for claims that is no object', () => {
    for (const value of [null, [], 'x', 1]) {
      expect(problem(`${part({})}.${part(value)}.s`)).toBe('its second part is no JSON in base64url');
    }
  });

  test('takes a signature of any length where the algorithm has none of its own, but base64url', () => {
    expect(readJwt(`${part({ alg: 'RS256' })}.${part({})}.s`).kind).toBe('claims');
    expect(readJwt(`${part({ alg: 'toString' })}.${part({})}.s`).kind).toBe('claims');
    expect(problem(`${part({})}.${part({})}.`)).toBe('its signature has 0 letters');
    expect(problem(`${part({})}.${part({})}.s+s`)).toBe('its signature is not base64url');
  });
});
