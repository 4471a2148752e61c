import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import {
  BY_PARQUET,
  expectFilesAsTold,
  expectPoints,
  interrupted,
  LARGE,
  SMALL,
  SupabaseExports,
  TEST_MS,
} from '../support/supabase-exports.ts';
import { unfinishedAt } from '../support/supabase-scene.ts';
import { type Door, IS_REAL } from '../support/supabase-store.ts';

/*
 * Exports into Supabase Storage by each of its doors: the double, or the real one that SUPABASE_TEST_URL names. What they
 * printed is searched for keys each time (supabase-exports.ts).
 */

setDefaultTimeout(TEST_MS);
const STRANGE: GeneratedCollection = { ...SMALL, name: 'ü 100%~#?=&x' };
const exports = await SupabaseExports.start(STRANGE);
const { store } = exports;
afterEach(() => exports.reset());
afterAll(() => exports.stop());

const DOOR_TEXTS = {
  REST: [
    'standard upload (one request, up to 6 MiB)',
    'resumable upload (TUS, above 6 MiB; the S3 endpoint, by SUPABASE_S3_ACCESS_KEY_ID, is faster)',
  ],
  'S3 keys': ['S3 endpoint (S3 access keys are set)', 'S3 endpoint (S3 access keys are set)'],
  'S3 session': [
    'S3 endpoint (by the service key and SUPABASE_ANON_KEY)',
    'S3 endpoint (by the service key and SUPABASE_ANON_KEY)',
  ],
} as const;

async function expectNoneUnfinished(): Promise<void> {
  if (store.double !== undefined) expect(await unfinishedAt(store.double)).toEqual([]);
}

test.skipIf(!IS_REAL)('a real Supabase Storage is tested: SUPABASE_TEST_URL is set', () => {
  expect(store.double).toBeUndefined();
});

/** The session of a service key goes the way of S3 keys, all but the credentials. */
const WHOLE_DOORS = store.doors.filter((door) => door !== 'S3 session');

for (const door of store.doors) {
  describe(`exporter-supabase by ${door}`, () => {
    for (const [at, collection] of [SMALL, LARGE].entries()) {
      test(`has all points of ${collection.name} in the store, and a manifest that says so`, async () => {
        const prefix = exports.prefix();
        const args = ['--collection', collection.name, '--prefix', prefix, '--json', '--verbose'];
        const run = await exports.run(door, [...args, ...BY_PARQUET]);
        expect(run.stderr.replaceAll(/\n {12}/g, ' ')).toContain(`\nUpload      ${DOOR_TEXTS[door][at]}\n`);
        expect(run.code).toBe(0);
        expect(run.workFiles).toEqual([]);
        const folder = `${prefix}/${collection.name}`;
        expect(await store.keysUnder(prefix)).toEqual([`${folder}/latest.json`, `${folder}/latest.parquet`]);
        const published = await exports.published(prefix, collection.name);
        expectFilesAsTold(published);
        const { manifest, files } = published;
        expect(manifest).toMatchObject({
          tool: { name: 'exporter-supabase' },
          collection: collection.name,
          counts: { before: collection.points, after: collection.points, rows: collection.points },
          files: [{ key: `${folder}/latest.parquet`, rows: collection.points }],
        });
        const [path] = exports.saved(files);
        await expectPoints(path as string, collection);
        const told = run.json();
        for (const name of Object.keys(manifest).filter((each) => each !== 'files')) {
          expect({ [name]: told[name] }).toEqual({ [name]: manifest[name] });
        }
        expect(told.files).toMatchObject(manifest.files);
        expect(told.files[0].location).toBe(`supabase://${store.bucket}/${folder}/latest.parquet`);
        expect(told.plan.door).toBe(DOOR_TEXTS[door][at]);
        await expectNoneUnfinished();
      });
    }
  });
}

for (const door of WHOLE_DOORS) {
  describe(`exporter-supabase by ${door}`, () => {
    test('writes nothing with --dry-run, leaves no upload behind, and tells all within 80 columns', async () => {
      const prefix = exports.prefix();
      const args = ['--collection', 'large', '--prefix', prefix, '--dry-run', '--json', ...BY_PARQUET];
      const run = await exports.run(door, args);
      expect(run.code).toBe(0);
      expect(run.stderr).toContain(
        'Dry run: the server answers, the target can be written, and nothing was written.',
      );
      expect(run.json()).toMatchObject({ dryRun: true, files: [], plan: { door: DOOR_TEXTS[door][1] } });
      expect(run.workFiles).toEqual([]);
      // But for what has no blank to break at.
      const lines = run.stderr.split('\n').filter((line) => !line.includes(store.root));
      expect(lines.length).toBeGreaterThan(7);
      expect(lines.filter((line) => Bun.stringWidth(line) > 80)).toEqual([]);
      expect(await store.keysUnder(prefix)).toEqual([]);
      await expectNoneUnfinished();
    });

    test('keeps the newest dated copies of --keep, and removes the others', async () => {
      const prefix = exports.prefix();
      const args = ['--collection', 'small', '--prefix', prefix, '--keep', '2', ...BY_PARQUET];
      const dates = ['20231114T221320Z', '20231115T221320Z', '20231116T221320Z'];
      for (const [day, date] of dates.entries()) {
        const run = await exports.run(door, args, { day });
        expect(run.code).toBe(0);
        expect(run.stderr).toContain(`/small/${date}.parquet`);
        const kept = [...dates.slice(Math.max(0, day - 1), day + 1), 'latest'];
        expect(await store.keysUnder(prefix)).toEqual(
          kept.flatMap((name) => [`${prefix}/small/${name}.json`, `${prefix}/small/${name}.parquet`]),
        );
        const { manifest, files } = await exports.published(prefix, 'small');
        const copy = await store.bytes(`${prefix}/small/${date}.parquet`);
        expect(Buffer.compare(copy ?? Buffer.of(), files[0] ?? Buffer.of(1))).toBe(0);
        const dated = JSON.parse(
          Buffer.from((await store.bytes(`${prefix}/small/${date}.json`)) ?? []).toString(),
        );
        expect(dated.files).toMatchObject([
          { key: `${prefix}/small/${date}.parquet`, sha256: manifest.files[0].sha256 },
        ]);
      }
    });

    test('takes names with letters that Supabase refuses, and tells the true ones', async () => {
      const prefix = `${exports.prefix()}/é/50%~#?=`;
      const args = ['--collection', STRANGE.name, '--prefix', prefix, '--keep', '1', ...BY_PARQUET];
      for (const day of [0, 1]) {
        const run = await exports.run(door, args, { day });
        expect(run.stderr).not.toContain('Error');
        expect(run.code).toBe(0);
      }
      const encoded = prefix.replace('é/50%~#?=', '=C3=A9/50=25=7E=23=3F=3D');
      const folder = '=C3=BC 100=25=7E=23=3F=3D&x';
      expect(await store.keysUnder(encoded)).toEqual(
        ['20231115T221320Z', 'latest'].flatMap((name) => [
          `${encoded}/${folder}/${name}.json`,
          `${encoded}/${folder}/${name}.parquet`,
        ]),
      );
      const published = await exports.published(encoded, folder);
      expect(published.manifest.collection).toBe(STRANGE.name);
      expectFilesAsTold(published);
      const [path] = exports.saved(published.files);
      await expectPoints(path as string, STRANGE);
    });

    for (const collection of [SMALL, LARGE]) {
      test(`goes on after Ctrl+C by the command of its last line: ${collection.name}`, async () => {
        const [prefix, work] = [exports.prefix(), exports.folder()];
        const args = ['--collection', collection.name, '--prefix', prefix, ...BY_PARQUET, '--verbose'];
        const stands = exports.stallAfter(collection.points / 2);
        const first = exports.searched(await interrupted(await exports.start(door, args, { work }), stands));
        exports.reset();
        expect(await store.keysUnder(prefix)).toEqual([]);
        const again = await exports.goOn(door, first, { work });
        expect(again.stderr).toContain('Going on with the run of ');
        expect(again.code).toBe(0);
        expect(again.workFiles).not.toContain('journal');
        const { files, manifest } = await exports.published(prefix, collection.name);
        expectFilesAsTold({ files, manifest });
        await expectWholeRun(door, files[0], ['--collection', collection.name, ...BY_PARQUET]);
        await expectNoneUnfinished();
      });
    }

    if (door === 'REST') {
      test('refuses --stream-upload, and names the keys that make it possible', async () => {
        const args = [
          '--collection',
          'small',
          '--prefix',
          exports.prefix(),
          '--stream-upload',
          ...BY_PARQUET,
        ];
        const run = await exports.run(door, args);
        expect(run.stderr).toMatch(
          /^Error: --stream-upload goes through .*SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY/,
        );
        expect(run.code).toBe(2);
      });
    } else {
      test('takes --stream-upload, with the same bytes, also after Ctrl+C', async () => {
        const [prefix, work] = [exports.prefix(), exports.folder()];
        const args = ['--collection', 'large', '--prefix', prefix, ...BY_PARQUET, '--stream-upload'];
        // Behind the first part.
        const stands = exports.stallAfter(2_300);
        const first = await interrupted(await exports.start(door, args, { work }), stands);
        exports.reset();
        const again = await exports.goOn(door, first, { work });
        expect(again.stderr).toContain('Going on with the run of ');
        expect(again.code).toBe(0);
        const published = await exports.published(prefix, 'large');
        expectFilesAsTold(published);
        await expectWholeRun(door, published.files[0], ['--collection', 'large', ...BY_PARQUET]);
        await expectNoneUnfinished();
      });
    }
  });
}

/** The bytes are those of a run that nothing stopped. */
const whole = new Map<string, Uint8Array | undefined>();
async function expectWholeRun(
  door: Door,
  bytes: Uint8Array | undefined,
  args: readonly string[],
): Promise<void> {
  const name = args[1] as string;
  if (!whole.has(name)) {
    const prefix = exports.prefix();
    expect((await exports.run(door, [...args, '--prefix', prefix])).code).toBe(0);
    whole.set(name, (await exports.published(prefix, name)).files[0]);
  }
  expect(Buffer.compare(bytes ?? Buffer.of(), whole.get(name) ?? Buffer.of(1))).toBe(0);
}

describe('exporter-supabase --all', () => {
  for (const door of store.doors) {
    test(`exports each collection by the default strategy, by ${door}`, async () => {
      const prefix = exports.prefix();
      const two = [SMALL, { ...SMALL, name: 'other', points: 120 }];
      const qdrant = await startQdrantDouble({ generated: two });
      try {
        const run = await exports.run(door, ['--all', '--prefix', prefix, '--json'], { qdrant });
        expect(run.stderr).toContain('2 of 2 exported');
        expect(run.code).toBe(0);
        expect(run.json().exports).toHaveLength(2);
      } finally {
        await qdrant.stop();
      }
      for (const collection of two) {
        const published = await exports.published(prefix, collection.name);
        expectFilesAsTold(published);
        const [path] = exports.saved(published.files);
        await expectPoints(path as string, collection);
      }
    });
  }
});

test('a bucket that is not there is refused before anything is read, and --create-bucket offered', async () => {
  const [name] = [`no-bucket-${crypto.randomUUID()}`];
  const run = await exports.run('REST', ['--collection', 'small', '--bucket', name]);
  expect(run.stderr).toMatch(
    new RegExp(
      `^Error: Cannot write to supabase://${name}: there is no bucket "${name}" at .*, or let --create-bucket make it\\.$`,
      'm',
    ),
  );
  expect(run.code).toBe(12);
  expect(run.workFiles).toEqual([]);
  const dry = await exports.run('REST', [
    '--collection',
    'small',
    '--bucket',
    name,
    '--create-bucket',
    '--dry-run',
  ]);
  expect(dry.stderr).toContain(`Note: There is no bucket "${name}" at `);
  expect(dry.stderr).toContain('without --dry-run it is made, private.');
  expect(dry.code).toBe(0);
  const again = await exports.run('REST', ['--collection', 'small', '--bucket', name, '--dry-run']);
  expect(again.code).toBe(12);
});
