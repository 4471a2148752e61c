import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import {
  BY_FILE,
  NDJSON,
  PARQUET,
  PARQUET_FILE,
  STREAMED,
  serverOf,
  WAYS,
  type Way,
} from '../support/export-ways.ts';
import { LongRuns } from '../support/long-run.ts';
import { type Scene, sameBytes } from '../support/long-run-scene.ts';
import { type QdrantDouble, startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

/*
 * What --resume takes and what it refuses. Runs are killed while Qdrant does not answer, with rows that are safe.
 */

const LIMIT_MS = 120_000;
const runs = await LongRuns.start();
let other: QdrantDouble;

beforeAll(async () => {
  other = await startQdrantDouble({
    generated: [{ name: 'docs', points: 10, dimensions: 1024, payloadBytes: 40, keys: true }],
  });
});
afterEach(() => runs.reset());
afterAll(async () => {
  await other.stop();
  await runs.stop();
});

/** The same run, with other values of these flags, or with these beside its own. */
function otherwise({ way, work, prefix }: Scene, args: readonly string[]): Scene {
  const at = way.args.indexOf(args[0] ?? '');
  const own = at < 0 ? way.args : way.args.toSpliced(at, 2);
  return runs.scene({ ...way, args: [...own, ...args] }, { work, prefix });
}

/** Goes on with the right command, and makes the right object of it. */
async function expectGoesOn(scene: Scene): Promise<void> {
  const again = await scene.run('--resume');
  expect(again.stderr).toContain('Going on with the run of 20');
  expect(again.stderr).toContain('Exported');
  expect(again.code).toBe(0);
  await expectRight(scene);
}

async function expectRight(scene: Scene): Promise<void> {
  const { bytes, manifest } = await scene.published();
  expect(sameBytes(bytes, await runs.whole(scene.way))).toBe(true);
  expect(manifest.files[0].bytes).toBe(bytes?.length);
  expect(scene.left).toEqual([]);
  if (scene.way.target === 'store') {
    expect(manifest.files[0].etag).toBe((await runs.store.head(scene.key))?.etag);
    expect(await scene.openUploads()).toEqual([]);
  }
}

interface Difference {
  readonly args: readonly string[];
  /** As the refusal has it. */
  readonly told: string;
}

const COMMON: readonly Difference[] = [
  { args: ['--schema', 'points'], told: '--schema keyed then, points now' },
  { args: ['--limit', '4000'], told: '--limit none then, 4000 now' },
  { args: ['--key-field', 'title'], told: '--key-field key then, title now' },
  { args: ['--compression', 'snappy'], told: '--compression zstd then, snappy now' },
  {
    args: ['--filter', '{"must":[{"has_id":[1,4]}]}'],
    told: '--filter none then, {"must":[{"has_id":[1,4]}]} now',
  },
];
const REFUSED: readonly { readonly way: Way; readonly differences: readonly Difference[] }[] = [
  {
    way: PARQUET,
    differences: [
      ...COMMON,
      { args: ['--row-group-size', '700'], told: '--row-group-size 300 then, 700 now' },
      { args: ['--strategy', 'parquet-med'], told: '--strategy parquet-small then, parquet-med now' },
      { args: ['--strategy', 'ndjson-gz'], told: '--strategy parquet-small then, ndjson-gz now' },
      { args: ['--vectors', 'none'], told: '--vectors none then, [] now' },
      { args: ['--passes', 'one'], told: 'passes two then, one now' },
      { args: ['--stream-upload'], told: 'upload by work file then, streamed now' },
    ],
  },
  {
    way: NDJSON,
    differences: [
      ...COMMON,
      { args: ['--row-group-size', '700'], told: '--row-group-size none then, 700 now' },
      { args: ['--strategy', 'parquet-small'], told: '--strategy ndjson-gz then, parquet-small now' },
    ],
  },
  { way: STREAMED, differences: COMMON },
];

for (const { way, differences } of REFUSED) {
  describe.skipIf(!runs.can(way))(`--resume of ${way.name}`, () => {
    const scene = runs.scene(way);

    test(
      'refuses what would not be the same run, and spells out the difference',
      async () => {
        await scene.killedInExport();
        const before = readFileSync(scene.journal);
        const files = scene.left;
        for (const { args, told } of differences) {
          const refused = await otherwise(scene, args).run('--resume');
          expect(refused.stderr).toContain('Cannot go on with the interrupted run, which was another one: ');
          expect(refused.stderr).toContain(told);
          expect(refused.stderr).toContain('without --resume to start over');
          expect(refused.code).toBe(2);
          expect(readFileSync(scene.journal)).toEqual(before);
          expect(scene.left).toEqual(files);
        }
      },
      LIMIT_MS,
    );

    test(
      'refuses another server',
      async () => {
        const { work, prefix } = scene;
        const refused = await runs.scene(way, { server: other, work, prefix }).run('--resume');
        const [then, now] = [runs.double, other].map((server) => `${serverOf(way, server)} over gRPC`);
        expect(refused.stderr).toContain(`which was another one: server ${then} then, ${now} now. Run it`);
        expect(refused.code).toBe(2);
      },
      LIMIT_MS,
    );

    test(
      'refuses another target',
      async () => {
        const refused = await runs.scene(way, { work: scene.work, prefix: 'elsewhere' }).run('--resume');
        const then = `${runs.proxy.endpoint}/${runs.store.bucket}/${scene.prefix}/docs/latest.parquet then`;
        expect(refused.stderr).toContain(`which was another one: target ${then}, `);
        expect(refused.stderr).toContain('/elsewhere/docs/latest.parquet now. Run it with');
        expect(refused.code).toBe(2);
      },
      LIMIT_MS,
    );

    test(
      'refuses a collection whose vectors changed',
      async () => {
        const vector = { name: 'late', kind: 'dense', size: 4 } as const;
        runs.double.change('docs', { kind: 'addVector', vector });
        try {
          const refused = await scene.run('--resume');
          expect(refused.stderr).toMatch(/which was another one: .*vectors \[.*\] then, \[.* now/);
          expect(refused.code).toBe(2);
        } finally {
          runs.double.change('docs', { kind: 'dropVector', name: 'late' });
        }
      },
      LIMIT_MS,
    );

    test('goes on after all these refusals', () => expectGoesOn(scene), LIMIT_MS);
  });
}

describe('a run without --resume', () => {
  for (const way of [...WAYS, PARQUET_FILE]) {
    test.skipIf(!runs.can(way))(
      `says that it gives up an interrupted one, and starts over (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        await scene.killedInExport();
        runs.double.fetched('docs').reset();
        const again = await scene.run();
        expect(again.stderr).toMatch(
          /The interrupted run of 20\S+Z is given up, and this one starts over; --resume would have gone on/,
        );
        expect(again.code).toBe(0);
        expect(Math.min(...runs.double.fetched('docs').counts())).toBe(1);
        await expectRight(scene);
      },
      LIMIT_MS,
    );
  }

  for (const way of [PARQUET, NDJSON, STREAMED]) {
    test.skipIf(!runs.can(way))(
      `removes the upload of the one that it gives up (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        await scene.killedInUpload();
        const [left] = await scene.openUploads();
        expect(left).toBeDefined();
        const again = await scene.run();
        expect(again.stderr).toContain('is given up, and this one starts over');
        expect(again.code).toBe(0);
        await expectRight(scene);
      },
      LIMIT_MS,
    );
  }
});

test.skipIf(!runs.hasStore)(
  '--resume with nothing to go on with says so and is an ordinary run',
  async () => {
    const scene = runs.scene(PARQUET);
    const ended = await scene.run('--resume');
    expect(ended.stderr).toContain('There is no interrupted run to go on with: this one begins anew.');
    expect(ended.code).toBe(0);
    await expectRight(scene);
  },
  LIMIT_MS,
);

describe('a journal', () => {
  for (const way of WAYS) {
    describe.skipIf(!runs.can(way))(`of ${way.name}`, () => {
      test(
        'whose last line is torn is gone on with',
        async () => {
          const scene = runs.scene(way);
          await scene.killedInExport();
          truncateSync(scene.journal, statSync(scene.journal).size - 7);
          await expectGoesOn(scene);
        },
        LIMIT_MS,
      );

      test(
        'that is corrupt in its middle is refused, and given up without --resume',
        async () => {
          const scene = runs.scene(way);
          await scene.killedInExport();
          const content = readFileSync(scene.journal);
          content[20] = (content[20] ?? 0) ^ 1;
          writeFileSync(scene.journal, content);
          const refused = await scene.run('--resume');
          expect(refused.stderr).toContain(
            `Cannot go on from "${scene.journal}": its line 1 is not what was written. Start over without --resume.`,
          );
          expect(refused.code).toBe(13);
          expect(readFileSync(scene.journal)).toEqual(content);
          const again = await scene.run();
          expect(again.stderr).toContain(
            'What an interrupted run left cannot be read, and this one starts over',
          );
          expect(again.code).toBe(0);
          expect(sameBytes((await scene.published()).bytes, await runs.whole(way))).toBe(true);
          expect(scene.left).toEqual([]);
        },
        LIMIT_MS,
      );
    });
  }

  for (const way of [...BY_FILE, PARQUET_FILE]) {
    test.skipIf(!runs.can(way))(
      `that knows of more than the work file holds is refused (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        await scene.killedInExport();
        const [file] = dataFiles(scene);
        truncateSync(file as string, 1_000);
        const refused = await scene.run('--resume');
        expect(refused.stderr).toMatch(
          /Cannot go on with ".+": it has 1000 bytes, and at least \d+ bytes were on record as written\. Start over without --resume\./,
        );
        expect(refused.code).toBe(13);
        expect((await scene.published()).bytes).toBeUndefined();
        const again = await scene.run();
        expect(again.code).toBe(0);
        await expectRight(scene);
      },
      LIMIT_MS,
    );
  }
});

/** Where the rows of an interrupted run are. */
function dataFiles(scene: Scene): readonly string[] {
  const [line = ''] = readFileSync(scene.journal, 'utf8').split('\n');
  return [JSON.parse(line.slice(0, line.lastIndexOf('\t'))).files.data];
}
