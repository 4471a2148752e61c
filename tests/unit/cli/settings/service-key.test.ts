import { describe, expect, test } from 'bun:test';
import { readAnonKey, readServiceKey } from '../../../../lib/cli/settings/service-key.ts';
import { readSupabaseUrl } from '../../../../lib/cli/settings/supabase-url.ts';
import { ToolError } from '../../../../lib/errors.ts';
import { jwt, KEYS } from '../supabase-keys.ts';

const REF = 'projectrefprojectref';
const HOSTED = readSupabaseUrl(`https://${REF}.supabase.co`);
const SELF_HOSTED = readSupabaseUrl('https://db.example.org:8443');
const WANTED = 'the service_role key is wanted (dashboard: Project Settings, API Keys)';
const ANON_WANTED = 'the anon key is wanted (dashboard: Project Settings, API Keys)';

/** The sentence that refuses a key; it must not have any eight letters of it in a row. */
function refused(read: (key: string) => unknown, key: string): string {
  try {
    read(key);
  } catch (error) {
    if (!(error instanceof ToolError && error.code === 'usage')) throw error;
    for (let at = 0; at + 16 <= key.length; at++) expect(error.message).not.toContain(key.slice(at, at + 16));
    return error.message;
  }
  throw new Error('it was accepted');
}

const service = (key: string) => refused((text) => readServiceKey(text, HOSTED), key);
const anon = (key: string) => refused((text) => readAnonKey(text, { ref: REF, source: 'SUPABASE_URL' }), key);

describe('readServiceKey()', () => {
  test('takes a JWT of service_role, with or without the project in it, and blanks around it', () => {
    const read = readServiceKey(` ${KEYS.service}\n`, HOSTED);
    expect(read).toMatchObject({ isJwt: true, ref: REF, warnings: [] });
    expect(read.key.reveal()).toBe(KEYS.service);
    const selfHosted = readServiceKey(jwt({ role: 'service_role' }), SELF_HOSTED);
    expect(selfHosted).toMatchObject({ isJwt: true, ref: undefined, warnings: [] });
    // Its address says nothing of the project, so it may be any.
    expect(readServiceKey(KEYS.service, SELF_HOSTED).warnings).toEqual([]);
  });

  test('refuses keys that may not write, and says so', () => {
    const noRights = 'for which row-level security lets nothing be written';
    expect(service(KEYS.anon)).toBe(`SUPABASE_SERVICE_ROLE_KEY is the anon key, ${noRights}; ${WANTED}.`);
    expect(service(KEYS.user)).toBe(
      `SUPABASE_SERVICE_ROLE_KEY is the token of a signed-in user, ${noRights}; ${WANTED}.`,
    );
    expect(service(KEYS.publishable)).toBe(
      `SUPABASE_SERVICE_ROLE_KEY is a publishable key (sb_publishable_…), ${noRights}; ${WANTED}.`,
    );
  });

  test('refuses one that has expired, with the date, from that second on', () => {
    const at = Date.UTC(2026, 0, 2, 23, 59) / 1000;
    expect(service(jwt({ role: 'service_role', ref: REF, exp: at }))).toBe(
      'SUPABASE_SERVICE_ROLE_KEY expired on 2026-01-02; a valid service_role key is wanted (dashboard: Project Settings, API Keys).',
    );
    expect(service(jwt({ role: 'service_role', exp: Math.floor(Date.now() / 1000) }))).toContain(
      ' expired on ',
    );
    expect(service(jwt({ role: 'service_role', exp: -1e300 }))).toContain(' expired long ago; ');
  });

  test('tells of one that expires within a day', () => {
    const inHours = (hours: number) => Math.floor(Date.now() / 1000) + hours * 3600;
    const exp = inHours(23);
    expect(readServiceKey(jwt({ role: 'service_role', exp }), HOSTED).warnings).toEqual([
      `SUPABASE_SERVICE_ROLE_KEY expires at ${new Date(exp * 1000).toISOString()}, and a run that goes on for longer fails then.`,
    ]);
    expect(readServiceKey(jwt({ role: 'service_role', exp: inHours(25) }), HOSTED).warnings).toEqual([]);
  });

  test("refuses another project's, naming both", () => {
    expect(service(jwt({ role: 'service_role', ref: 'otherotherotherother' }))).toBe(
      'SUPABASE_SERVICE_ROLE_KEY is of the project otherotherotherother, but SUPABASE_URL is of the project projectrefprojectref; both of one project are wanted.',
    );
  });

  test('takes sb_secret_… for hosted projects, and with a warning elsewhere', () => {
    expect(readServiceKey(KEYS.secret, HOSTED)).toMatchObject({ isJwt: false, warnings: [] });
    expect(readServiceKey(KEYS.secret, SELF_HOSTED).warnings).toEqual([
      'SUPABASE_SERVICE_ROLE_KEY is an sb_secret_… key, which is no JWT: where db.example.org:8443 has no gateway that translates such keys, the storage refuses it ("Invalid Compact JWS"), and the service_role JWT is wanted.',
    ]);
  });

  test('takes other roles with a warning: policies may let them write', () => {
    expect(readServiceKey(jwt({ role: 'backup_writer' }), HOSTED).warnings).toEqual([
      'SUPABASE_SERVICE_ROLE_KEY has the role backup_writer, and service_role was expected: whether it may write is for the policies of the storage to say.',
    ]);
    expect(readServiceKey(jwt({}), HOSTED).warnings).toEqual([
      'SUPABASE_SERVICE_ROLE_KEY names no role, and service_role was expected: whether it may write is for the policies of the storage to say.',
    ]);
    expect(readServiceKey(jwt({ role: `a"${'b'.repeat(100)}` }), HOSTED).warnings[0]).toContain(
      `has the role "a\\"${'b'.repeat(38)}", and`,
    );
  });

  test('refuses what is no key, and says what it may be', () => {
    const cut = KEYS.service.split('.').slice(0, 2).join('.');
    expect(service(cut)).toBe(`SUPABASE_SERVICE_ROLE_KEY is not a JWT: 2 of 3 parts; ${WANTED}.`);
    expect(service('garbage')).toBe(`SUPABASE_SERVICE_ROLE_KEY is not a JWT: 1 of 3 parts; ${WANTED}.`);
    for (const secret of [
      'super-secret-jwt-token-with-at-least-32-characters-long',
      `${'aB3/'.repeat(21)}aB==`,
      '0123456789abcdef'.repeat(4),
    ]) {
      expect(service(secret)).toBe(
        `SUPABASE_SERVICE_ROLE_KEY is not a JWT: 1 of 3 parts; it may be the JWT secret, which signs keys and is none; ${WANTED}.`,
      );
    }
    expect(service(`sbp_${'0123456789'.repeat(4)}`)).toBe(
      `SUPABASE_SERVICE_ROLE_KEY is the access token of an account (sbp_…), which is no key of a project; ${WANTED}.`,
    );
  });

  test('refuses what came along when it was copied', () => {
    for (const quoted of [`"${KEYS.service}"`, `'${KEYS.service}`, `${KEYS.service}”`]) {
      expect(service(quoted)).toBe(`SUPABASE_SERVICE_ROLE_KEY stands in quotes; ${WANTED}, without them.`);
    }
    expect(service(`Bearer ${KEYS.service}`)).toBe(
      `SUPABASE_SERVICE_ROLE_KEY begins with "Bearer"; ${WANTED}, without it.`,
    );
    for (const letter of [' ', '\n', 'é', '\u0000']) {
      expect(service(KEYS.service.replace('.', `.${letter}`))).toBe(
        `SUPABASE_SERVICE_ROLE_KEY holds a character that no key has, such as a blank, a line end or a letter beyond ASCII; ${WANTED}.`,
      );
    }
  });
});

describe('readAnonKey()', () => {
  const read = (key: string) => readAnonKey(key, { ref: REF, source: 'SUPABASE_URL' });

  test('takes the anon JWT, and tells sb_publishable_… from it', () => {
    expect(read(` ${KEYS.anon} `)?.reveal()).toBe(KEYS.anon);
    expect(read(jwt({ role: 'anon' }))?.reveal()).toBe(jwt({ role: 'anon' }));
    expect(read(KEYS.publishable)).toBeUndefined();
  });

  test('refuses all others', () => {
    expect(anon(KEYS.service)).toBe(`SUPABASE_ANON_KEY is a JWT of the role service_role; ${ANON_WANTED}.`);
    expect(anon(jwt({}))).toBe(`SUPABASE_ANON_KEY is a JWT without a role; ${ANON_WANTED}.`);
    expect(anon(KEYS.secret)).toBe(`SUPABASE_ANON_KEY is a secret key (sb_secret_…); ${ANON_WANTED}.`);
    expect(anon(jwt({ role: 'anon', exp: 0 }))).toBe(
      'SUPABASE_ANON_KEY expired on 1970-01-01; a valid anon key is wanted (dashboard: Project Settings, API Keys).',
    );
    expect(anon(KEYS.anon.slice(0, -3))).toBe(
      `SUPABASE_ANON_KEY is not a JWT: its signature has 40 of 43 letters; ${ANON_WANTED}.`,
    );
    expect(anon(`"${KEYS.anon}"`)).toBe(`SUPABASE_ANON_KEY stands in quotes; ${ANON_WANTED}, without them.`);
  });

  test("refuses another project's, and says which variable names that", () => {
    const other = jwt({ role: 'anon', ref: 'otherotherotherother' });
    expect(refused((key) => readAnonKey(key, { ref: REF, source: 'SUPABASE_SERVICE_ROLE_KEY' }), other)).toBe(
      'SUPABASE_ANON_KEY is of the project otherotherotherother, but SUPABASE_SERVICE_ROLE_KEY is of the project projectrefprojectref; both of one project are wanted.',
    );
  });
});
