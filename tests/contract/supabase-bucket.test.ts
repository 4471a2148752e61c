import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { RetryNotice } from '../../lib/retry.ts';
import { Secret } from '../../lib/secret.ts';
import { PATIENCE } from '../../lib/storage/patience.ts';
import {
  type Bucket,
  type BucketSettings,
  bucketFits,
  checkBucket,
} from '../../lib/storage/supabase/supabase-bucket.ts';
import { Refusal, supabaseError } from '../../lib/storage/supabase/supabase-errors.ts';
import { supabaseSession } from '../../lib/storage/supabase/supabase-session.ts';
import { probeResumable } from '../../lib/storage/supabase/supabase-tus-probe.ts';
import { type SupabaseDouble, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';

const never = new AbortController().signal;
const TYPES = ['application/vnd.apache.parquet', 'application/json'];
const QUICK = { attempts: 3, baseMs: 1, capMs: 1 };

let double: SupabaseDouble;
beforeAll(async () => {
  double = await startSupabaseDouble({ s3: false });
});
afterAll(() => double.stop());
beforeEach(() => {
  double.fault = undefined;
  double.setGlobalLimit(undefined);
});

let names = 0;
function newName(): string {
  return `bucket-${++names}`;
}

interface Checked {
  readonly bucket: Bucket;
  readonly notes: readonly string[];
  readonly retries: readonly RetryNotice[];
}

async function check(
  name: string,
  options: Partial<BucketSettings> & { readonly key?: string; readonly types?: readonly string[] } = {},
): Promise<Checked> {
  const { key = double.keys.service, types = TYPES, ...settings } = options;
  const notes: string[] = [];
  const retries: RetryNotice[] = [];
  const session = supabaseSession({ url: double.url, bucket: name, serviceKey: new Secret(key) });
  const bucket = await checkBucket(
    session,
    {
      createBucket: false,
      dryRun: false,
      retryPolicy: QUICK,
      onNote: (text) => notes.push(text),
      onRetry: (notice) => retries.push(notice),
      ...settings,
    },
    types,
    never,
  );
  return { bucket, notes, retries };
}

async function errorOf(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
}

function asked(from: number): string[] {
  return double.requests.slice(from).map(({ method, path }) => `${method} ${path}`);
}

describe('checkBucket()', () => {
  test('checkBucket() finds a private bucket without limits, with one request', async () => {
    const from = double.requests.length;
    expect(await check('backups')).toEqual({
      bucket: { name: 'backups', exists: true, sizeLimit: undefined, isPublic: false, allowedTypes: [] },
      notes: [],
      retries: [],
    });
    expect(asked(from)).toEqual(['GET /storage/v1/bucket/backups']);
  });

  test('checkBucket() tells limits, and that a bucket is public', async () => {
    const name = newName();
    await double.makeBucket(name, { fileSizeLimit: 1_000, mimeTypes: ['application/*'], public: true });
    const { bucket, notes } = await check(name);
    expect(bucket).toEqual({
      name,
      exists: true,
      sizeLimit: 1_000,
      isPublic: true,
      allowedTypes: ['application/*'],
    });
    expect(notes).toEqual([
      `Bucket "${name}" is public: everybody who knows an address in it can read what is there.`,
    ]);
  });

  test('checkBucket() finds a bucket whose name has blanks and signs of an address', async () => {
    for (const name of ['with space', 'a&b', "o'clock", 'q?x']) {
      await double.makeBucket(name);
      expect((await check(name)).bucket).toMatchObject({ name, exists: true });
    }
  });

  for (const [types, mimeTypes] of [
    [TYPES, ['application/json', 'application/vnd.apache.parquet']],
    [TYPES, ['text/plain', 'Application/*']],
    [TYPES, ['*/*']],
    [['application/json'], ['application/json']],
  ] as const) {
    test(`checkBucket() lets ${types.join(', ')} into a bucket for ${mimeTypes.join(', ')}`, async () => {
      const name = newName();
      await double.makeBucket(name, { mimeTypes });
      expect((await check(name, { types })).bucket.exists).toBe(true);
    });
  }

  for (const [type, mimeTypes] of [
    ['application/vnd.apache.parquet', ['text/plain', 'image/*']],
    ['application/json', ['application/vnd.apache.parquet']],
    ['application/vnd.apache.parquet', ['application/vnd.apache.parquet; v=1', 'application/json']],
  ] as const) {
    test(`checkBucket() refuses a bucket for ${mimeTypes.join(', ')}, because of ${type}`, async () => {
      const name = newName();
      await double.makeBucket(name, { mimeTypes });
      const error = await errorOf(check(name));
      expect(error.message).toBe(
        `Cannot write to supabase://${name}: the bucket takes no files of type ${type} (allowed are ${mimeTypes.join(', ')}). ` +
          "Allow it in the bucket's settings in the dashboard, or choose another bucket with SUPABASE_STORAGE_BUCKET (or --bucket).",
      );
      expect(error.code).toBe('store');
    });
  }

  test('checkBucket() offers to make a bucket that is not there', async () => {
    expect((await errorOf(check('nope'))).message).toBe(
      `Cannot write to supabase://nope: there is no bucket "nope" at ${double.url}, or the key may not see it ` +
        '(404 NoSuchBucket: Bucket not found). Check SUPABASE_STORAGE_BUCKET (or --bucket) and SUPABASE_SERVICE_ROLE_KEY, ' +
        'or let --create-bucket make it.',
    );
  });

  test('checkBucket() makes a private bucket where that is wanted, once', async () => {
    const name = newName();
    const { bucket, notes } = await check(name, { createBucket: true });
    expect(bucket).toEqual({ name, exists: true, sizeLimit: undefined, isPublic: false, allowedTypes: [] });
    expect(notes).toEqual([`Made the bucket "${name}" at ${double.url}, private.`]);
    const from = double.requests.length;
    expect(await check(name, { createBucket: true })).toEqual({ bucket, notes: [], retries: [] });
    expect(asked(from)).toEqual([`GET /storage/v1/bucket/${name}`]);
  });

  test('checkBucket() makes nothing in a dry run', async () => {
    const name = newName();
    const { bucket, notes } = await check(name, { createBucket: true, dryRun: true });
    expect(bucket).toMatchObject({ name, exists: false });
    expect(notes).toEqual([
      `There is no bucket "${name}" at ${double.url} yet; without --dry-run it is made, private.`,
    ]);
    expect((await errorOf(check(name))).message).toContain('there is no bucket');
  });

  test('checkBucket() takes a bucket that somebody else makes at the same time as it is', async () => {
    const name = newName();
    double.fault = ({ method }) => {
      if (method === 'POST') void double.makeBucket(name, { fileSizeLimit: 7 });
      return undefined;
    };
    const { bucket, notes } = await check(name, { createBucket: true });
    expect(bucket).toMatchObject({ exists: true, sizeLimit: 7 });
    expect(notes).toEqual([]);
  });

  test('checkBucket() finds the bucket that it made when the answer was lost', async () => {
    const name = newName();
    let lost = 0;
    double.fault = ({ method }) => (method === 'POST' && lost++ === 0 ? { kind: 'lost answer' } : undefined);
    const { bucket, retries } = await check(name, { createBucket: true });
    expect(bucket).toMatchObject({ name, exists: true });
    expect(retries.map(({ error }) => error.remedy)).toEqual(['again']);
    expect(lost).toBe(2);
  });

  test('checkBucket() asks again after a failure that passes, and gives up as its policy says', async () => {
    let failures = 2;
    double.fault = () => (failures-- > 0 ? { kind: 'status', status: 503 } : undefined);
    expect((await check('backups')).retries).toHaveLength(2);
    failures = 3;
    expect((await errorOf(check('backups'))).message).toBe(
      `Cannot write to supabase://backups: Supabase Storage at ${double.url} has failed (503).`,
    );
  });

  for (const [who, words] of [
    ['expired', 'the key has expired (403 AccessDenied: "exp" claim timestamp check failed)'],
    ['otherSecret', 'the key is not of this project (403 AccessDenied: signature verification failed)'],
    ['otherProject', 'the key is not of this project (403 AccessDenied: signature verification failed)'],
    ['anon', 'there is no bucket "backups" at'],
    ['user', 'there is no bucket "backups" at'],
  ] as const) {
    test(`checkBucket() refuses the ${who} key`, async () => {
      const { message, code } = await errorOf(check('backups', { key: double.keys[who] }));
      expect(message).toStartWith(`Cannot write to supabase://backups: ${words}`);
      expect(message).toContain('SUPABASE_SERVICE_ROLE_KEY');
      expect(code).toBe('store');
    });
  }

  for (const who of ['anon', 'user'] as const) {
    test(`checkBucket() says that the ${who} key may not make a bucket`, async () => {
      const error = await errorOf(check('backups', { key: double.keys[who], createBucket: true }));
      expect(error.message).toBe(
        'Cannot make the bucket supabase://backups: the key may not do that in bucket "backups" (403 AccessDenied: ' +
          'new row violates row-level security policy). Set SUPABASE_SERVICE_ROLE_KEY to a service_role key or an ' +
          'sb_secret_… one, not to that of an anonymous or ordinary user.',
      );
    });
  }

  test('checkBucket() says that a name is none', async () => {
    const error = await errorOf(check('a/b', { createBucket: true }));
    expect(error.message).toBe(
      'Cannot make the bucket supabase://a/b: "a/b" is not the name of a bucket ' +
        '(400 InvalidBucketName: Bucket name invalid). Check SUPABASE_STORAGE_BUCKET (or --bucket).',
    );
    expect(error.code).toBe('usage');
  });

  for (const body of ['{}', 'null', '[]', '"x"', '{"id":"other","public":false}', '{"id":"backups"}']) {
    test(`checkBucket() does not take ${body} for a bucket`, async () => {
      double.fault = () => ({ kind: 'status', status: 200, body });
      expect((await errorOf(check('backups'))).message).toBe(
        `Cannot write to supabase://backups: ${double.url} does not answer like Supabase Storage (no bucket in its answer). ` +
          'Check SUPABASE_URL.',
      );
    });
  }

  test('checkBucket() does not take a page for Supabase Storage', async () => {
    for (const [status, found] of [
      [200, 'no JSON'],
      [404, 'HTTP 404'],
    ] as const) {
      double.fault = () => ({ kind: 'status', status, body: '<!DOCTYPE html><p>Welcome</p>' });
      expect((await errorOf(check('backups'))).message).toBe(
        `Cannot write to supabase://backups: ${double.url} does not answer like Supabase Storage (${found}). ` +
          'Check SUPABASE_URL.',
      );
    }
  });

  test('checkBucket() ends with the run, whatever the store does', async () => {
    double.fault = () => ({ kind: 'hang' });
    const run = new AbortController();
    const reason = new ToolError('cancelled', 'enough');
    const session = supabaseSession({
      url: double.url,
      bucket: 'backups',
      serviceKey: new Secret(double.keys.service),
    });
    const checking = checkBucket(session, { createBucket: false, dryRun: false }, TYPES, run.signal);
    run.abort(reason);
    expect(await errorOf(checking)).toBe(reason);
  });
});

describe('bucketFits()', () => {
  const bucketOf = (sizeLimit?: number): Bucket => ({
    name: 'b',
    exists: true,
    sizeLimit,
    isPublic: false,
    allowedTypes: [],
  });

  /** A project that takes files of so many bytes; `probed` are those that it was asked about. */
  function projectOf(limit: number) {
    const probed: number[] = [];
    const probe = async (bytes: number) => {
      probed.push(bytes);
      if (bytes <= limit) return;
      const answer = { status: 413, code: undefined, text: 'Maximum size exceeded' };
      const refusal = new Refusal({ ...answer, foreign: false, location: undefined }, undefined);
      throw supabaseError(refusal, { failed: 'Cannot write', url: double.url, bucket: 'b' });
    };
    return { probed, probe };
  }

  const MB = 1e6;
  const projectAdvice =
    'Raise the limit in the dashboard (Storage, Settings; a free plan has 50 MB, another one more), ' +
    'or make smaller files with --split-size';
  const bucketAdvice =
    "Raise the limit in the bucket's settings in the dashboard, or make smaller files with --split-size";

  test('bucketFits() asks the project about what the bucket takes, and warns of nothing', async () => {
    for (const limit of [undefined, 50 * MB]) {
      const { probed, probe } = projectOf(50 * MB);
      expect(await bucketFits(bucketOf(limit), 50 * MB, probe)).toEqual([]);
      expect(probed).toEqual([50 * MB]);
    }
  });

  test("bucketFits() refuses what is above the bucket's limit by more than an estimate can err", async () => {
    const { probed, probe } = projectOf(1e12);
    const error = await errorOf(bucketFits(bucketOf(40 * MB), 51 * MB, probe));
    expect(error.message).toBe(
      `Cannot write to supabase://b: a file would have about 51 MB, and the bucket takes 40 MB at most. ${bucketAdvice} 36MB.`,
    );
    expect(error.code).toBe('store');
    expect(probed).toEqual([]);
  });

  test("bucketFits() warns of what is above the bucket's limit by less", async () => {
    const { probed, probe } = projectOf(1e12);
    expect(await bucketFits(bucketOf(40 * MB), 50 * MB, probe)).toEqual([
      `A file is estimated at 50 MB, which may turn out to be more than the 40 MB that bucket "b" takes. ${bucketAdvice} 36MB.`,
    ]);
    expect(probed).toEqual([40 * MB]);
  });

  test('bucketFits() offers no split size that would be refused', async () => {
    const { probe } = projectOf(1e12);
    const told = async (limit: number) => (await errorOf(bucketFits(bucketOf(limit), 5 * MB, probe))).message;
    expect(await told(1.05 * MB)).toEndWith(`${bucketAdvice} 1MB.`);
    expect(await told(0.5 * MB)).toEndWith(', or choose a bucket that takes larger files.');
  });

  test("bucketFits() refuses what is above the project's limit by more than an estimate can err", async () => {
    for (const limit of [undefined, 62_600_000]) {
      const { probe } = projectOf(50 * MB - 1);
      expect((await errorOf(bucketFits(bucketOf(limit), 62.5 * MB, probe))).message).toBe(
        `Cannot write to supabase://b: a file would have about 62.5 MB, and the project does not take 50 MB. ${projectAdvice} 45MB.`,
      );
    }
  });

  test('bucketFits() refuses what the bucket may take and the project does not', async () => {
    const { probed, probe } = projectOf(39 * MB);
    expect((await errorOf(bucketFits(bucketOf(45 * MB), 50 * MB, probe))).message).toBe(
      `Cannot write to supabase://b: a file would have about 50 MB, and the project does not take 40 MB. ${projectAdvice} 36MB.`,
    );
    expect(probed).toEqual([40 * MB]);
  });

  test("bucketFits() warns of what is above the project's limit by less", async () => {
    const { probed, probe } = projectOf(50 * MB);
    expect(await bucketFits(bucketOf(), 60 * MB, probe)).toEqual([
      `A file is estimated at 60 MB, which may turn out to be more than the project takes. ${projectAdvice} 43MB.`,
    ]);
    expect(probed).toEqual([60 * MB, 48 * MB]);
  });

  test('bucketFits() rejects as a probe does that fails for another reason', async () => {
    const other = new ToolError('store', 'no connection');
    expect(await errorOf(bucketFits(bucketOf(), 1, () => Promise.reject(other)))).toBe(other);
  });

  test('bucketFits() learns the limit of a project by an upload that it takes back', async () => {
    const { keys, url, bucket: name } = double;
    const session = supabaseSession({ url, bucket: name, serviceKey: new Secret(keys.service) });
    const limits = { signal: never, timeoutMs: 10_000 };
    const to = {
      session,
      key: 'docs/latest.parquet',
      location: session.locate('docs/latest.parquet'),
      policy: QUICK,
      onRetry: () => {},
      limits,
      decisive: limits,
      patience: PATIENCE,
    };
    const probe = (bytes: number) => probeResumable(to, bytes, 'application/vnd.apache.parquet');
    const { bucket } = await check(name);
    double.setGlobalLimit(50 * MB);
    expect(await bucketFits(bucket, 50 * MB, probe)).toEqual([]);
    expect(await bucketFits(bucket, 60 * MB, probe)).toHaveLength(1);
    expect((await errorOf(bucketFits(bucket, 63 * MB, probe))).message).toContain(
      'the project does not take',
    );
    const headers = { authorization: `Bearer ${keys.service}`, 'tus-resumable': '1.0.0' };
    for (const id of await double.openUploads()) {
      const address = `${url}/storage/v1/upload/resumable/${id}`;
      expect((await fetch(address, { method: 'HEAD', headers })).status).toBe(404);
    }
    expect(await double.keysOf()).toEqual([]);
  });
});
