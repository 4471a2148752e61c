import { afterAll, afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { existsSync, type FSWatcher, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { DoubleRequest } from '../support/supabase-double/supabase-double.ts';
import {
  BY_PARQUET,
  expectFilesAsTold,
  interrupted,
  SupabaseExports,
  TEST_MS,
} from '../support/supabase-exports.ts';
import { unfinishedAt } from '../support/supabase-scene.ts';
import type { Door } from '../support/supabase-store.ts';

/*
 * Uploads to Supabase Storage that are stopped and gone on with, also by another door than they were begun by, and
 * what is read back before it counts.
 */

setDefaultTimeout(TEST_MS);
const exports = await SupabaseExports.startWithDouble();
const { qdrant, store } = exports;
const { double } = store;
const HAS_S3 = double.s3 !== undefined;

const watchers: FSWatcher[] = [];

let unfinishedBefore: readonly string[] = [];
beforeEach(async () => {
  unfinishedBefore = await unfinishedAt(double);
});
afterEach(() => {
  exports.reset();
  for (const watcher of watchers.splice(0)) watcher.close();
});
afterAll(() => exports.stop());

type Upload = 'standard' | 'resumable' | 'parts';
const COLLECTION: Readonly<Record<Upload, string>> = {
  standard: 'small',
  resumable: 'large',
  parts: 'large',
};
const DOOR: Readonly<Record<Upload, Door>> = { standard: 'REST', resumable: 'REST', parts: 'S3 keys' };

/** Whether the request carries the file's last bytes, and what was sent before stays. */
const IS_LAST: Readonly<Record<Upload, (request: DoubleRequest) => boolean>> = {
  standard: ({ method, path }) => method === 'POST' && /\/object\/[^?]*latest\.parquet/.test(path),
  resumable: ({ method, headers }) => method === 'PATCH' && headers.get('upload-offset') !== '0',
  parts: ({ method, path }) => method === 'PUT' && path.includes('partNumber=2'),
};

/** Never answers what carries the last bytes; resolves when that comes. */
function hangAt(upload: Upload): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  double.fault = (request) => {
    if (!IS_LAST[upload](request)) return undefined;
    resolve();
    return { kind: 'hang' };
  };
  return promise;
}

/** Resolves when the run's journal says that a chunk or part is in the store; one request has none. */
function oneConfirmed(upload: Upload, work: string): Promise<void> {
  if (upload === 'standard') return Promise.resolve();
  const journal = join(work, 'qdrant-export', COLLECTION[upload], 'journal');
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (existsSync(journal) && readFileSync(journal, 'utf8').includes('{"kind":"part"')) resolve();
  };
  watchers.push(watch(work, { recursive: true }, look));
  look();
  return promise;
}

/** Since the test began. */
async function unfinished(): Promise<readonly string[]> {
  return (await unfinishedAt(double)).filter((id) => !unfinishedBefore.includes(id));
}

interface Stopped {
  readonly prefix: string;
  readonly work: string;
  readonly collection: string;
  readonly args: readonly string[];
  readonly stderr: string;
}

async function stoppedIn(upload: Upload, ...more: readonly string[]): Promise<Stopped> {
  const [prefix, work, collection] = [exports.prefix(), exports.folder(), COLLECTION[upload]];
  const args = ['--collection', collection, '--prefix', prefix, ...BY_PARQUET, ...more];
  const reached = Promise.all([hangAt(upload), oneConfirmed(upload, work)]).then(() => {});
  const running = await exports.start(DOOR[upload], [...args, '--verbose'], { work });
  const { stderr } = exports.searched(await interrupted(running, reached));
  exports.reset();
  expect(await store.keysUnder(prefix)).toEqual([]);
  return { prefix, work, collection, args, stderr };
}

async function expectRight({ prefix, collection }: Stopped): Promise<void> {
  const published = await exports.published(prefix, collection);
  expectFilesAsTold(published);
  const wanted = whole.get(collection) ?? (await wholeRun(collection));
  whole.set(collection, wanted);
  expect(Buffer.compare(published.files[0] ?? Buffer.of(), wanted)).toBe(0);
}

/** By collection, the file of a run that nothing stopped. */
const whole = new Map<string, Uint8Array>();
async function wholeRun(collection: string): Promise<Uint8Array> {
  const prefix = exports.prefix();
  const args = ['--collection', collection, '--prefix', prefix, ...BY_PARQUET];
  expect((await exports.run('REST', args)).code).toBe(0);
  return (await exports.published(prefix, collection)).files[0] as Uint8Array;
}

const UPLOADS: readonly Upload[] = ['standard', 'resumable', ...(HAS_S3 ? ['parts' as const] : [])];

for (const upload of UPLOADS) {
  test(`Ctrl+C in an upload leaves nothing that looks like an export, and its last line goes on: ${upload}`, async () => {
    const stopped = await stoppedIn(upload);
    qdrant.fetched(stopped.collection).reset();
    const before = double.requests.length;
    const again = await exports.goOn(DOOR[upload], stopped, stopped);
    expect(again.stderr).toContain('the Parquet file is whole.');
    expect(again.code).toBe(0);
    expect(qdrant.fetched(stopped.collection).total).toBe(0);
    // What was there was not sent again.
    const sent = double.requests.slice(before);
    const first = { standard: [], resumable: sent.filter(isFirstChunk), parts: sent.filter(isFirstPart) };
    expect(first[upload]).toEqual([]);
    expect(sent.some(IS_LAST[upload])).toBe(true);
    await expectRight(stopped);
    expect(await unfinished()).toEqual([]);
  });
}

function isFirstChunk({ method, headers }: DoubleRequest): boolean {
  return method === 'PATCH' && headers.get('upload-offset') === '0';
}

function isFirstPart({ method, path }: DoubleRequest): boolean {
  return method === 'PUT' && path.includes('partNumber=1');
}

describe.skipIf(!HAS_S3)('an upload that was begun by another door', () => {
  test('as a resumable one goes on as that when S3 keys are set meanwhile', async () => {
    const stopped = await stoppedIn('resumable');
    const before = double.requests.length;
    const again = await exports.run('S3 keys', [...stopped.args, '--resume'], stopped);
    expect(again.stderr).toContain('Note: The resumable upload (TUS) that was begun goes on as one.');
    expect(again.code).toBe(0);
    const sent = double.requests.slice(before);
    expect(sent.filter(isFirstChunk)).toEqual([]);
    expect(sent.some(IS_LAST.resumable)).toBe(true);
    await expectRight(stopped);
    expect(await unfinished()).toEqual([]);
  });

  test('as a resumable one is begun anew where the service key is gone, and that is told', async () => {
    const stopped = await stoppedIn('resumable');
    const [left] = await unfinished();
    const env = { SUPABASE_SERVICE_ROLE_KEY: '' };
    const again = await exports.run('S3 keys', [...stopped.args, '--resume'], { ...stopped, env });
    expect(again.stderr).toContain(
      `Note: The unfinished upload ${left} of supabase://backups/${stopped.prefix}/large/latest.parquet went by SUPABASE_SERVICE_ROLE_KEY, which is not set now: it stays until Supabase drops it, after 24 hours in a hosted project. The file is uploaded from its beginning.`,
    );
    expect(again.code).toBe(0);
    await expectRight(stopped);
    expect(await unfinished()).toEqual([left as string]);
  });

  test('in parts is begun anew where the S3 keys are gone, and what stays in the store is told', async () => {
    const stopped = await stoppedIn('parts');
    const [left] = await unfinished();
    const again = await exports.run('REST', [...stopped.args, '--resume'], stopped);
    expect(again.stderr).toContain(
      `Note: The unfinished upload ${left} of supabase://backups/${stopped.prefix}/large/latest.parquet went through the S3 endpoint, whose keys are not set now: it stays, and may cost storage until it is removed. The file is uploaded from its beginning.`,
    );
    expect(again.code).toBe(0);
    await expectRight(stopped);
    expect(await unfinished()).toEqual([left as string]);
  });

  test('is removed by a run that starts over, or told of where its keys are gone', async () => {
    const [resumable, parts] = [await stoppedIn('resumable'), await stoppedIn('parts')];
    expect(await unfinished()).toHaveLength(2);
    const over = await exports.run('S3 keys', resumable.args, resumable);
    expect(over.stderr).toContain('is given up, and this one starts over');
    expect(over.code).toBe(0);
    const other = await exports.run('REST', parts.args, parts);
    expect(other.stderr).toMatch(
      /^Warning: The unfinished upload \S+ of .* whose keys are not set now: it stays/m,
    );
    expect(other.code).toBe(0);
    const still = await unfinished();
    expect(still).toHaveLength(1);
    expect(other.stderr).toContain(still[0] as string);
    for (const stopped of [resumable, parts]) await expectRight(stopped);
  });
});

for (const upload of UPLOADS) {
  describe(`what the store compares with nothing: ${upload}`, () => {
    const isManifest = ({ method, path }: DoubleRequest) =>
      /^(POST|PUT)$/.test(method) && path.includes('latest.json');
    const isRead = ({ method, path }: DoubleRequest) =>
      method === 'GET' && path.includes('latest.parquet') && !/\/info\//.test(path);

    test('is read back before the manifest is written', async () => {
      const before = double.requests.length;
      const args = ['--collection', COLLECTION[upload], '--prefix', exports.prefix(), ...BY_PARQUET];
      expect((await exports.run(DOOR[upload], args)).code).toBe(0);
      const asked = double.requests.slice(before);
      const order = [IS_LAST[upload], isRead, isManifest].map((is) => asked.findLastIndex(is));
      expect(order).not.toContain(-1);
      expect(order).toEqual(order.toSorted((a, b) => a - b));
    });

    test('is no export where it was damaged on the way: nothing of it stays under its name', async () => {
      const prefix = exports.prefix();
      double.fault = (request) => (IS_LAST[upload](request) ? { kind: 'flip', at: 700 } : undefined);
      const args = ['--collection', COLLECTION[upload], '--prefix', prefix, ...BY_PARQUET];
      const run = await exports.run(DOOR[upload], args);
      expect(run.stderr).toMatch(/^Error: /m);
      // A part is compared by its entity tag, sent again, and given up at last; a whole file by reading it.
      expect(run.code).toBe(upload === 'parts' ? 12 : 13);
      expect(run.stderr.includes('Go on with')).toBe(upload === 'parts');
      exports.reset();
      expect(await store.keysUnder(prefix)).toEqual([]);
    });
  });
}
