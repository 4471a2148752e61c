import { describe, expect, test } from 'bun:test';
import { EXPORTER_SUPABASE } from '../../../../lib/cli/flags/exporter-supabase.ts';
import { parseArguments } from '../../../../lib/cli/flags/parse-flags.ts';
import type { Environment } from '../../../../lib/cli/settings/env.ts';
import { readExporterRequest } from '../../../../lib/cli/settings/exporter-request.ts';
import { ToolError } from '../../../../lib/errors.ts';
import { jwt, KEYS } from '../supabase-keys.ts';

const URL_ = 'https://projectrefprojectref.supabase.co';
const S3_ENDPOINT = 'https://projectrefprojectref.storage.supabase.co/storage/v1/s3';
const SERVICE = { SUPABASE_URL: URL_, SUPABASE_SERVICE_ROLE_KEY: KEYS.service };
const S3 = { SUPABASE_S3_ACCESS_KEY_ID: 'AK', SUPABASE_S3_SECRET_ACCESS_KEY: 'SK' };

function request(line: string, environment: Environment) {
  const argv = `--collection docs ${line}`.trim().split(' ');
  const given = parseArguments(argv, EXPORTER_SUPABASE.flags);
  return readExporterRequest(EXPORTER_SUPABASE, given, environment, { isInteractive: false });
}

function target(environment: Environment, line = '') {
  const found = request(line, environment).settingsFor('docs').target;
  if (found.kind !== 'supabase') throw new Error(`the target is ${found.kind}`);
  return found;
}

function refusal(environment: Environment, line = ''): string {
  try {
    request(line, environment);
  } catch (error) {
    if (error instanceof ToolError && error.code === 'usage') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('the doors of Supabase', () => {
  test('without S3 credentials it is the service key alone, into the bucket backups', () => {
    for (const key of [KEYS.service, KEYS.secret]) {
      const found = target({ SUPABASE_URL: `${URL_}/`, SUPABASE_SERVICE_ROLE_KEY: key });
      expect(found).toMatchObject({ kind: 'supabase', url: URL_, bucket: 'backups', createBucket: false });
      expect(found.serviceKey?.reveal()).toBe(key);
      expect(found.s3).toBeUndefined();
    }
  });

  test('S3 keys open the S3 endpoint, with the service key or without', () => {
    const alone = target({ SUPABASE_URL: URL_, ...S3 });
    expect(alone.serviceKey).toBeUndefined();
    expect(alone.s3).toMatchObject({ endpoint: S3_ENDPOINT, region: 'auto', sessionToken: undefined });
    expect(alone.s3?.accessKeyId.reveal()).toBe('AK');
    expect(alone.s3?.secretAccessKey.reveal()).toBe('SK');
    const both = target({ ...SERVICE, ...S3, SUPABASE_S3_REGION: 'eu-central-1', SUPABASE_ANON_KEY: 'any' });
    expect(both.serviceKey?.reveal()).toBe(KEYS.service);
    expect(both.s3).toMatchObject({ region: 'eu-central-1', sessionToken: undefined });
    const local = target({ SUPABASE_URL: 'http://127.0.0.1:54321', ...S3 });
    expect(local.s3?.endpoint).toBe('http://127.0.0.1:54321/storage/v1/s3');
  });

  test('so do project ref, anon key and service_role JWT, the ref from the address or the JWT', () => {
    for (const url of [URL_, 'http://127.0.0.1:54321']) {
      const { s3 } = target({ ...SERVICE, SUPABASE_URL: url, SUPABASE_ANON_KEY: KEYS.anon });
      expect(s3?.accessKeyId.reveal()).toBe('projectrefprojectref');
      expect(s3?.secretAccessKey.reveal()).toBe(KEYS.anon);
      expect(s3?.sessionToken?.reveal()).toBe(KEYS.service);
      expect(s3?.region).toBe('auto');
    }
  });

  test('an anon key is left alone where it makes no credentials', () => {
    const local = { SUPABASE_URL: 'http://127.0.0.1:54321', SUPABASE_ANON_KEY: 'any' };
    expect(target({ ...local, SUPABASE_SERVICE_ROLE_KEY: jwt({ role: 'service_role' }) }).s3).toBeUndefined();
    const secret = { ...SERVICE, SUPABASE_SERVICE_ROLE_KEY: KEYS.secret, SUPABASE_ANON_KEY: 'any' };
    expect(target(secret).s3).toBeUndefined();
    const publishable = { ...SERVICE, SUPABASE_ANON_KEY: KEYS.publishable };
    expect(target(publishable).s3).toBeUndefined();
    expect(request('', publishable).warnings).toEqual([
      'SUPABASE_ANON_KEY is a publishable key (sb_publishable_…), which makes no credentials for the S3 endpoint; the anon JWT does, or SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY, and uploads are faster with them.',
    ]);
  });

  test('an anon key that is none is refused where it would be used', () => {
    expect(refusal({ ...SERVICE, SUPABASE_ANON_KEY: KEYS.service })).toStartWith(
      'SUPABASE_ANON_KEY is a JWT of the role service_role; ',
    );
    const other = jwt({ role: 'anon', ref: 'otherotherotherother' });
    expect(refusal({ ...SERVICE, SUPABASE_URL: 'http://127.0.0.1:1', SUPABASE_ANON_KEY: other })).toBe(
      'SUPABASE_ANON_KEY is of the project otherotherotherother, but SUPABASE_SERVICE_ROLE_KEY is of the project projectrefprojectref; both of one project are wanted.',
    );
  });

  test('a stream has to go through the S3 endpoint', () => {
    const line = '--stream-upload --strategy parquet-med';
    expect(refusal(SERVICE, line)).toBe(
      "--stream-upload goes through Supabase's S3 endpoint alone, because other uploads must know their length beforehand, and a stream does not; SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY (dashboard: Storage, S3 access keys) are wanted, or SUPABASE_ANON_KEY beside a service_role JWT.",
    );
    expect(target({ SUPABASE_URL: URL_, ...S3 }, line).s3).toBeDefined();
    expect(target({ ...SERVICE, SUPABASE_ANON_KEY: KEYS.anon }, line).s3).toBeDefined();
  });
});

describe('what is wanted', () => {
  test('an address and a key, or both S3 keys', () => {
    expect(refusal({ SUPABASE_SERVICE_ROLE_KEY: KEYS.service })).toStartWith('SUPABASE_URL is not set; ');
    expect(refusal({ SUPABASE_URL: URL_ })).toBe(
      'SUPABASE_SERVICE_ROLE_KEY is not set; the service_role key or an sb_secret_… key (dashboard: Project Settings, API Keys) is wanted, or SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY (dashboard: Storage, S3 access keys), or a local file with --output FILE.',
    );
    expect(refusal({ ...SERVICE, SUPABASE_SERVICE_ROLE_KEY: ' ' })).toStartWith(
      'SUPABASE_SERVICE_ROLE_KEY is not set; ',
    );
    expect(request('--output f', {}).settingsFor('docs').target.kind).toBe('file');
  });

  test('the other one of the S3 keys', () => {
    const { SUPABASE_S3_ACCESS_KEY_ID, SUPABASE_S3_SECRET_ACCESS_KEY } = S3;
    const both = 'both are wanted, or neither (dashboard: Storage, S3 access keys).';
    expect(refusal({ ...SERVICE, SUPABASE_S3_ACCESS_KEY_ID })).toBe(
      `SUPABASE_S3_SECRET_ACCESS_KEY is not set, but SUPABASE_S3_ACCESS_KEY_ID is; ${both}`,
    );
    expect(refusal({ ...SERVICE, SUPABASE_S3_SECRET_ACCESS_KEY })).toBe(
      `SUPABASE_S3_ACCESS_KEY_ID is not set, but SUPABASE_S3_SECRET_ACCESS_KEY is; ${both}`,
    );
  });

  test('S3 keys and a region that can be some', () => {
    expect(refusal({ ...SERVICE, ...S3, SUPABASE_S3_ACCESS_KEY_ID: 'A K' })).toBe(
      'SUPABASE_S3_ACCESS_KEY_ID holds a character that no key has, such as a blank, a line end or a letter beyond ASCII.',
    );
    expect(refusal({ ...SERVICE, ...S3, SUPABASE_S3_REGION: 'Frankfurt (eu)' })).toBe(
      'SUPABASE_S3_REGION is "Frankfurt (eu)"; the name of a region such as eu-central-1 is wanted (dashboard: Storage, S3), or auto.',
    );
  });

  test('the service key for --create-bucket, even with S3 keys', () => {
    expect(refusal({ SUPABASE_URL: URL_, ...S3 }, '--create-bucket')).toBe(
      '--create-bucket wants SUPABASE_SERVICE_ROLE_KEY, which is not set (dashboard: Project Settings, API Keys).',
    );
    expect(target({ ...SERVICE, ...S3 }, '--create-bucket').createBucket).toBe(true);
  });

  test('the name of a bucket, from the flag or its variable', () => {
    expect(target({ ...SERVICE, SUPABASE_STORAGE_BUCKET: 'nightly' }).bucket).toBe('nightly');
    expect(target({ ...SERVICE, SUPABASE_STORAGE_BUCKET: 'nightly' }, '--bucket b').bucket).toBe('b');
    const wanted =
      "the name of a bucket is wanted, at most 100 letters, digits and !-_.*'() &$@=;:+, without a blank at its ends.";
    expect(refusal(SERVICE, '--bucket a/b')).toBe(`--bucket is "a/b"; ${wanted}`);
    for (const bucket of ['bückét', 'x'.repeat(101), ' b', 'a?b', 'a#b']) {
      expect(refusal({ ...SERVICE, SUPABASE_STORAGE_BUCKET: bucket })).toBe(
        `SUPABASE_STORAGE_BUCKET is ${JSON.stringify(bucket)}; ${wanted}`,
      );
    }
    expect(target({ ...SERVICE, SUPABASE_STORAGE_BUCKET: 'with space' }).bucket).toBe('with space');
  });
});

describe('the plan', () => {
  test('names one target whichever door leads to it, and encodes keys as Supabase takes them', () => {
    const environments = [
      SERVICE,
      { SUPABASE_URL: URL_, ...S3 },
      { ...SERVICE, SUPABASE_ANON_KEY: KEYS.anon },
    ];
    for (const environment of environments) {
      const asked = request('--prefix a=b', environment);
      expect(asked.settingsFor('dö?').plan).toMatchObject({
        key: 'a=3Db/d=C3=B6=3F/latest.parquet',
        manifestKey: 'a=3Db/d=C3=B6=3F/latest.json',
        target: `${URL_}/backups/a=3Db/d=C3=B6=3F/latest.parquet`,
      });
    }
  });

  test('warns of keys over plain HTTP to another machine, and prints none', () => {
    const environment = { ...SERVICE, ...S3, SUPABASE_ANON_KEY: KEYS.anon };
    const elsewhere = request('', { ...environment, SUPABASE_URL: 'http://db.example.org:8000' });
    expect(elsewhere.warnings).toEqual([
      'The keys of Supabase go to db.example.org over plain HTTP, where others can read them; https:// protects them.',
    ]);
    expect(request('', { ...environment, SUPABASE_URL: 'http://localhost:54321' }).warnings).toEqual([]);
    const settings = request('', { ...SERVICE, SUPABASE_ANON_KEY: KEYS.anon }).settingsFor('docs');
    for (const text of [JSON.stringify(settings), Bun.inspect(settings)]) {
      expect(text).not.toContain(KEYS.service);
      expect(text).not.toContain(KEYS.anon);
    }
  });
});
