import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { BY_PARQUET, SupabaseExports, TEST_MS } from '../support/supabase-exports.ts';
import { unfinishedAt } from '../support/supabase-scene.ts';
import type { Door } from '../support/supabase-store.ts';

/*
 * What exporter-supabase refuses before a byte is sent, and what it warns of: keys, buckets and limits. LARGE is
 * estimated at 10.6 MB.
 */

setDefaultTimeout(TEST_MS);
const exports = await SupabaseExports.startWithDouble();
const { store } = exports;
const { double } = store;
const { keys, projectRef } = double;
const HOSTED = { SUPABASE_URL: `https://${projectRef}.supabase.co` };
const DOORS = store.doors.filter((door) => door !== 'S3 session');
const SHORT = { REST: 'rest', 'S3 keys': 's3', 'S3 session': 's3' } as const;
const LARGE_ARGS = ['--collection', 'large', ...BY_PARQUET];

for (const name of ['tiny-rest', 'tiny-s3']) await double.makeBucket(name, { fileSizeLimit: 2_000_000 });
await double.makeBucket('near', { fileSizeLimit: 10_000_000 });
await double.makeBucket('images', { mimeTypes: ['image/*'] });
await double.makeBucket('open', { public: true });

afterEach(() => {
  exports.reset();
  double.setGlobalLimit(undefined);
});
afterAll(() => exports.stop());

/** What the Storage was asked since that many requests, as `POST /bucket`. */
function askedSince(count: number): readonly string[] {
  return double.requests
    .slice(count)
    .map(({ method, path }) => `${method} ${path.replace('/storage/v1', '').split('?')[0]}`);
}

describe('a key that is of no use is refused without asking anybody', () => {
  const WANTED = 'the service_role key is wanted (dashboard: Project Settings, API Keys)';
  const NO_RIGHTS = 'for which row-level security lets nothing be written';
  const REFUSED: Readonly<
    Record<string, readonly [env: Readonly<Record<string, string>>, sentence: string]>
  > = {
    'the anon key': [
      { SUPABASE_SERVICE_ROLE_KEY: keys.anon },
      `SUPABASE_SERVICE_ROLE_KEY is the anon key, ${NO_RIGHTS}; ${WANTED}.`,
    ],
    "a signed-in user's": [
      { SUPABASE_SERVICE_ROLE_KEY: keys.user },
      `SUPABASE_SERVICE_ROLE_KEY is the token of a signed-in user, ${NO_RIGHTS}; ${WANTED}.`,
    ],
    'an expired one': [
      { SUPABASE_SERVICE_ROLE_KEY: keys.expired },
      `; ${WANTED.replace('the ', 'a valid ')}.`,
    ],
    "another project's": [
      { ...HOSTED, SUPABASE_SERVICE_ROLE_KEY: keys.otherProject },
      `, but SUPABASE_URL is of the project ${projectRef}; both of one project are wanted.`,
    ],
    'a publishable one': [
      { SUPABASE_SERVICE_ROLE_KEY: 'sb_publishable_0123456789abcdef' },
      `SUPABASE_SERVICE_ROLE_KEY is a publishable key (sb_publishable_…), ${NO_RIGHTS}; ${WANTED}.`,
    ],
    'the token of an account': [
      { SUPABASE_SERVICE_ROLE_KEY: 'sbp_0123456789abcdef' },
      `SUPABASE_SERVICE_ROLE_KEY is the access token of an account (sbp_…), which is no key of a project; ${WANTED}.`,
    ],
    'what signs keys': [
      { SUPABASE_SERVICE_ROLE_KEY: 'a'.repeat(40) },
      `SUPABASE_SERVICE_ROLE_KEY is not a JWT: 1 of 3 parts; it may be the JWT secret, which signs keys and is none; ${WANTED}.`,
    ],
    'one in quotes': [
      { SUPABASE_SERVICE_ROLE_KEY: `"${keys.service}"` },
      `SUPABASE_SERVICE_ROLE_KEY stands in quotes; ${WANTED}, without them.`,
    ],
    'one behind Bearer': [
      { SUPABASE_SERVICE_ROLE_KEY: `Bearer ${keys.service}` },
      `SUPABASE_SERVICE_ROLE_KEY begins with "Bearer"; ${WANTED}, without it.`,
    ],
    none: [
      { SUPABASE_SERVICE_ROLE_KEY: '' },
      'SUPABASE_SERVICE_ROLE_KEY is not set; the service_role key or an sb_secret_… key',
    ],
    'half of a pair of S3 keys': [
      { SUPABASE_S3_ACCESS_KEY_ID: 'key-without-a-secret' },
      'SUPABASE_S3_SECRET_ACCESS_KEY is not set, but SUPABASE_S3_ACCESS_KEY_ID is; both are wanted, or neither',
    ],
    'the service key as the anon key': [
      { SUPABASE_ANON_KEY: keys.service },
      'SUPABASE_ANON_KEY is a JWT of the role service_role; the anon key is wanted (dashboard: Project Settings, API Keys).',
    ],
  };
  for (const [name, [env, sentence]] of Object.entries(REFUSED)) {
    test(name, async () => {
      const before = double.requests.length;
      const run = await exports.run('REST', [...LARGE_ARGS, '--verbose'], { env });
      expect(run.stderr).toContain(sentence);
      expect(run.stderr).toMatch(/^Error: SUPABASE_/m);
      for (const value of Object.values(env)) {
        // What follows a prefix that tells the kind is never shown.
        if (value.length >= 20 && !value.startsWith('http')) expect(run.stderr).not.toContain(value);
      }
      expect(run.code).toBe(2);
      expect(run.workFiles).toEqual([]);
      expect(askedSince(before)).toEqual([]);
    });
  }
});

describe('a key that only the server can refuse', () => {
  test('of another project, or replaced: is refused with the settings to check', async () => {
    for (const key of [keys.otherSecret, keys.otherProject]) {
      const run = await exports.run('REST', LARGE_ARGS, { env: { SUPABASE_SERVICE_ROLE_KEY: key } });
      expect(run.stderr).toContain(
        `Error: Cannot write to supabase://backups: the key is not of this project (403 AccessDenied: signature verification failed), or was replaced since. Check SUPABASE_SERVICE_ROLE_KEY and SUPABASE_URL, which is ${double.url}.`,
      );
      expect(run.code).toBe(12);
      expect(run.workFiles.filter((name) => name.includes('journal'))).toEqual([]);
    }
  });

  test('sb_secret_… where there is no gateway: is warned of and refused', async () => {
    const run = await exports.run('REST', LARGE_ARGS, { env: { SUPABASE_SERVICE_ROLE_KEY: keys.secret } });
    expect(run.stderr).toMatch(/^Warning: SUPABASE_SERVICE_ROLE_KEY is an sb_secret_… key, which is no JWT/m);
    expect(run.stderr).toContain(
      `${double.url} has no gateway that knows sb_secret_… keys (403 AccessDenied: Invalid Compact JWS). Set SUPABASE_SERVICE_ROLE_KEY to the service_role JWT.`,
    );
    expect(run.code).toBe(12);
  });

  test.skipIf(double.s3 === undefined)(
    'S3 keys: names the one that is wrong, and shows neither',
    async () => {
      const wrong = {
        SUPABASE_S3_SECRET_ACCESS_KEY:
          'refused the signature (403 SignatureDoesNotMatch): the secret or the region',
        SUPABASE_S3_ACCESS_KEY_ID:
          'does not know the access key (403 AccessDenied: Invalid Access Key). Check',
      };
      for (const [name, sentence] of Object.entries(wrong)) {
        const env = { [name]: 'not-one-of-the-keys-0123456789' };
        const run = await exports.run('S3 keys', [...LARGE_ARGS, '--verbose'], { env });
        expect(run.stderr).toContain(sentence);
        expect(run.stderr).toContain(name);
        expect(run.stderr).not.toContain('not-one-of-the-keys');
        expect(run.code).toBe(12);
      }
    },
  );
});

const isHarmless = (line: string) =>
  // A look at the bucket, and uploads that are begun without bytes and taken back.
  /^(GET|HEAD|DELETE) |^POST \/(upload\/resumable|object\/list|s3\/)/.test(line);

async function expectRefused(door: Door, args: readonly string[], sentence: string): Promise<void> {
  const before = double.requests.length;
  const run = await exports.run(door, [...LARGE_ARGS, ...args]);
  expect(run.stderr).toContain(sentence);
  expect(run.code).toBe(12);
  expect(run.workFiles.filter((name) => name.includes('journal'))).toEqual([]);
  expect(askedSince(before).filter((line) => !isHarmless(line))).toEqual([]);
  expect(await unfinishedAt(double)).toEqual([]);
}

for (const door of DOORS) {
  describe(`by ${door}, before a byte is sent`, () => {
    test("a file above the bucket's limit is refused, with what to do, which then goes well", async () => {
      const tiny = `tiny-${SHORT[door]}`;
      await expectRefused(
        door,
        ['--bucket', tiny],
        `Error: Cannot write to supabase://${tiny}: a file would have about 10.6 MB, and the bucket takes 2 MB at most. Raise the limit in the bucket's settings in the dashboard, or make smaller files with --split-size 1MB.\n`,
      );
      expect(await double.keysOf(tiny)).toEqual([]);
      const run = await exports.run(door, [...LARGE_ARGS, '--bucket', tiny, '--split-size', '1MB']);
      expect(run.code).toBe(0);
      const found = await double.keysOf(tiny);
      expect(found.length).toBeGreaterThan(8);
      await Promise.all(
        found.map(async (key) => {
          expect((await double.bytes(key, tiny))?.length).toBeLessThanOrEqual(1_000_000);
        }),
      );
    });

    test("a file about as large as the bucket's limit is warned of, and goes in where it fits", async () => {
      const run = await exports.run(door, [...LARGE_ARGS, '--bucket', 'near']);
      expect(run.stderr).toContain(
        'Warning: A file is estimated at 10.6 MB, which may turn out to be more than the 10 MB that bucket "near" takes.',
      );
      expect(run.code).toBe(0);
      expect(await double.keysOf('near')).toEqual(['large/latest.json', 'large/latest.parquet']);
    });

    test("a file above the project's limit is refused, and one about as large warned of", async () => {
      double.setGlobalLimit(3_000_000);
      await expectRefused(
        door,
        ['--prefix', exports.prefix()],
        'Error: Cannot write to supabase://backups: a file would have about 10.6 MB, and the project does not take 8.46 MB. Raise the limit in the dashboard (Storage, Settings; a free plan has 50 MB, another one more), or make smaller files with --split-size 7MB.\n',
      );
      double.setGlobalLimit(10_000_000);
      const run = await exports.run(door, [...LARGE_ARGS, '--prefix', exports.prefix(), '--dry-run']);
      expect(run.stderr).toContain(
        'Warning: A file is estimated at 10.6 MB, which may turn out to be more than the project takes.',
      );
      expect(run.code).toBe(0);
    });

    test('a bucket for images alone is refused with the types that it takes', async () => {
      await expectRefused(
        door,
        ['--bucket', 'images'],
        'the bucket takes no files of type application/vnd.apache.parquet (allowed are image/*). Allow it in the bucket',
      );
      expect(await double.keysOf('images')).toEqual([]);
    });

    test('a public bucket is noted', async () => {
      const run = await exports.run(door, [...LARGE_ARGS, '--bucket', 'open', '--dry-run']);
      expect(run.stderr).toContain(
        'Note: Bucket "open" is public: everybody who knows an address in it can read what is there.\n',
      );
      expect(run.code).toBe(0);
    });

    test('a bucket that is not there is made, private, by --create-bucket', async () => {
      const name = `new-${SHORT[door]}`;
      await expectRefused(door, ['--bucket', name], `there is no bucket "${name}" at ${double.url}`);
      const args = ['--collection', 'small', ...BY_PARQUET, '--bucket', name, '--create-bucket'];
      const dry = await exports.run(door, [...args, '--dry-run']);
      expect(dry.stderr).toContain(
        `Note: There is no bucket "${name}" at ${double.url} yet; without --dry-run it is made, private.`,
      );
      expect(dry.code).toBe(0);
      await expectRefused(door, ['--bucket', name], `there is no bucket "${name}"`);
      const made = await exports.run(door, args);
      expect(made.stderr).toContain(`Note: Made the bucket "${name}" at ${double.url}, private.`);
      expect(made.code).toBe(0);
      expect(await double.keysOf(name)).toEqual(['small/latest.json', 'small/latest.parquet']);
      const again = await exports.run(door, args);
      expect(again.stderr).not.toContain('Made the bucket');
      expect(again.stderr).not.toContain('is public');
      expect(again.code).toBe(0);
    });
  });
}

test.skipIf(double.s3 === undefined)(
  'S3 keys alone do: nothing but --create-bucket wants the service key',
  async () => {
    const env = { SUPABASE_SERVICE_ROLE_KEY: '' };
    const prefix = exports.prefix();
    const args = ['--collection', 'small', ...BY_PARQUET, '--prefix', prefix];
    const run = await exports.run('S3 keys', args, { env });
    expect(run.code).toBe(0);
    expect(await store.keysUnder(prefix)).toHaveLength(2);
    const refused = await exports.run('S3 keys', [...args, '--create-bucket'], { env });
    expect(refused.stderr).toContain('--create-bucket wants SUPABASE_SERVICE_ROLE_KEY, which is not set');
    expect(refused.code).toBe(2);
  },
);
