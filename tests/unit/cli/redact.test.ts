import { describe, expect, test } from 'bun:test';
import { printable, Redactor } from '../../../lib/cli/redact.ts';
import { Secret } from '../../../lib/secret.ts';

describe('Redactor', () => {
  test('replaces every occurrence of a secret, also as URLs spell it', () => {
    const redactor = new Redactor();
    redactor.hide(new Secret('s3cr+t/$x'));
    expect(redactor.redact('a s3cr+t/$x b=s3cr%2Bt%2F%24x s3cr+t/$x')).toBe('a *** b=*** ***');
  });

  test('replaces a short secret only where it stands alone', () => {
    const redactor = new Redactor();
    redactor.hide(new Secret('SK'));
    expect(redactor.redact('TASK SK "SK"')).toBe('TASK *** "***"');
  });

  test('knows the variables that hold secrets', () => {
    const redactor = new Redactor();
    redactor.hideThoseOf({
      QDRANT_API_KEY: 'qdrant-key',
      AWS_SESSION_TOKEN: 'session-token',
      QDRANT_URL: 'a-host',
    });
    expect(redactor.redact('qdrant-key session-token a-host')).toBe('*** *** a-host');
    redactor.hideThoseOf({
      SUPABASE_SERVICE_ROLE_KEY: 'service-key',
      SUPABASE_ANON_KEY: 'anon-key',
      SUPABASE_S3_ACCESS_KEY_ID: 's3-key-id',
      SUPABASE_S3_SECRET_ACCESS_KEY: 's3-secret',
      SUPABASE_URL: 'https://a-host',
    });
    expect(redactor.redact('service-key anon-key s3-key-id s3-secret https://a-host')).toBe(
      '*** *** *** *** https://a-host',
    );
  });
});

test('printable() shows control and invisible characters instead of sending them', () => {
  expect(printable('a\u001b[31mb\rc\u202ed\u009b')).toBe('a\\u{1b}[31mb\\u{d}c\\u{202e}d\\u{9b}');
  expect(printable('two\nlines\tand 日本🙂')).toBe('two\nlines\tand 日本🙂');
});
