import { describe, expect, test } from 'bun:test';
import { addressOf, readSupabaseUrl } from '../../../../lib/cli/settings/supabase-url.ts';
import { ToolError } from '../../../../lib/errors.ts';

const REF = 'abcdefghijklmnopqrst';
const WANTED = 'https://REF.supabase.co is wanted (dashboard: Project Settings, Data API)';

function refusal(text: string | undefined): string {
  try {
    readSupabaseUrl(text);
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe('readSupabaseUrl()', () => {
  test.each([
    `https://${REF}.supabase.co`,
    `https://${REF}.supabase.co/`,
    ` https://${REF}.supabase.co\n`,
    `https://${REF.toUpperCase()}.Supabase.CO`,
    `${REF}.supabase.co`,
    `http://${REF}.supabase.co`,
    `https://${REF}.supabase.co/storage/v1`,
    `https://${REF}.supabase.co/storage/v1/`,
    `https://${REF}.supabase.co/rest/v1/docs`,
    `https://${REF}.storage.supabase.co/storage/v1/s3`,
    `https://supabase.com/dashboard/project/${REF}`,
    `https://supabase.com/dashboard/project/${REF}/settings/api-keys`,
    `https://app.supabase.com/project/${REF}`,
    `supabase.com/dashboard/project/${REF}`,
    REF,
  ])('knows the hosted project behind %p', (text) => {
    const project = readSupabaseUrl(text);
    expect(addressOf(project.url)).toBe(`https://${REF}.supabase.co`);
    expect(project.ref).toBe(REF);
    expect(project.s3Endpoint).toBe(`https://${REF}.storage.supabase.co/storage/v1/s3`);
  });

  test.each([
    ['http://127.0.0.1:54321', 'http://127.0.0.1:54321'],
    ['http://127.0.0.1:54321/storage/v1/s3', 'http://127.0.0.1:54321'],
    ['localhost:54321', 'http://localhost:54321'],
    ['[::1]:8000/', 'http://[::1]:8000'],
    ['supabase.example.org', 'https://supabase.example.org'],
    ['https://example.org:8443/supabase/', 'https://example.org:8443/supabase'],
    ['https://example.org/supabase/rest/v1/', 'https://example.org/supabase'],
    ['https://notsupabase.co', 'https://notsupabase.co'],
  ])('takes %p for a project that is hosted elsewhere', (text, address) => {
    const project = readSupabaseUrl(text);
    expect(addressOf(project.url)).toBe(address);
    expect(project.ref).toBeUndefined();
    expect(project.s3Endpoint).toBe(`${address}/storage/v1/s3`);
  });

  test('wants one', () => {
    const sentence = `SUPABASE_URL is not set; ${WANTED}, or a local file with --output FILE.`;
    expect(refusal(undefined)).toBe(sentence);
    expect(refusal(' ')).toBe(sentence);
  });

  test.each([
    'ftp://x',
    'https://',
    'postgresql://postgres@db.x.supabase.co:5432/postgres',
    'a b',
    'sb_secret_ x',
  ])('refuses %p, which is no address of one', (text) => {
    expect(refusal(text)).toBe(`SUPABASE_URL is not the address of a project; ${WANTED}.`);
  });

  test.each([
    `db.${REF}.supabase.co`,
    `https://${REF}.supabase.co:5432`,
    'https://supabase.com/dashboard/projects',
    'https://supabase.co',
  ])('refuses %p, which is none of a project', (text) => {
    expect(refusal(text)).toBe(`SUPABASE_URL is an address of Supabase, but of no project; ${WANTED}.`);
  });

  test('refuses a path that leads to no service', () => {
    expect(refusal(`https://${REF}.supabase.co/dashboard`)).toBe(
      `SUPABASE_URL has a path that no service of Supabase has; ${WANTED}.`,
    );
  });

  test.each([
    'https://user:word@x.org',
    'https://key@x.org',
    'https://x.org?apikey=word',
    'https://x.org#word',
  ])('refuses %p without repeating what may be a key', (text) => {
    expect(refusal(text)).toBe(
      'SUPABASE_URL carries more than an address; the key goes into SUPABASE_SERVICE_ROLE_KEY.',
    );
  });
});
