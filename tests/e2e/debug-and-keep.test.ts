import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BY_FILE, NDJSON_FILE, PARQUET, STREAMED } from '../support/export-ways.ts';
import { killWhen } from '../support/kill-points.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, type Scene, sameBytes } from '../support/long-run-scene.ts';

const runs = await LongRuns.start({}, [{ name: 'notes', points: 100, dimensions: 8 }]);

afterEach(() => runs.reset());
afterAll(() => runs.stop());

describe('--debug', () => {
  for (const way of [...BY_FILE, NDJSON_FILE]) {
    test.skipIf(!runs.can(way))(
      `keeps the work files and names them (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        const ended = await scene.run('--debug', '--yes', '--json');
        expect(ended.code).toBe(0);
        const { workFiles } = ended.json();
        const names =
          way.args.length > 0 ? ['parquet-small.parquet'] : ['ndjson-gz.ndjson.gz', 'ndjson-gz.parquet'];
        const inFolder = names.map((name) => join(scene.folder, name));
        // A local file is its own last work file.
        expect(workFiles).toEqual(way.target === 'file' ? inFolder.slice(0, 1) : inFolder);
        for (const path of workFiles) expect(ended.stderr).toContain(path);
        const { bytes } = await scene.published();
        expect(sameBytes(bytes, await runs.whole(way))).toBe(true);
        if (way.target === 'store') {
          expect(sameBytes(readFileSync(workFiles.at(-1)), bytes)).toBe(true);
        }

        const next = await scene.run('--resume');
        expect(next.stderr).toContain('There is no interrupted run to go on with');
        expect(next.code).toBe(0);
        expect(scene.left).toEqual([]);
      },
      2 * LIMIT_MS,
    );
  }

  test.skipIf(!runs.hasStore)(
    'is refused at once where there is no terminal to ask at, unless --yes answers',
    async () => {
      const scene = runs.scene(PARQUET);
      const before = runs.double.stats.requests;
      const refused = await scene.run('--debug');
      expect(refused.stderr).toBe(
        'Error: --debug asks before the upload, and there is no terminal to ask at; --yes is wanted with it.\n',
      );
      expect(refused.code).toBe(2);
      expect(runs.double.stats.requests).toBe(before);
      expect(refused.workFiles).toEqual([]);
    },
    LIMIT_MS,
  );

  test.skipIf(!runs.hasStore)(
    'keeps the work files of a run that went on, too',
    async () => {
      const scene = runs.scene(PARQUET);
      await scene.killedInUpload('--debug', '--yes');
      const ended = await scene.run('--debug', '--yes', '--resume');
      expect(ended.code).toBe(0);
      const kept = join(scene.folder, 'parquet-small.parquet');
      expect(ended.stderr).toContain(`Kept      ${kept}`);
      expect(sameBytes(readFileSync(kept), (await scene.published()).bytes)).toBe(true);
    },
    2 * LIMIT_MS,
  );
});

/** Names of what lies in the folder of the collection, as the store has it on its disk. */
function namesIn({ prefix, collection }: Scene): readonly string[] {
  const folder = join(runs.store.dir, runs.store.bucket, prefix, collection);
  return (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => /\.(parquet|json)$/.test(name))
    .sort();
}

/** The dated copy, which is the latest export, and its manifest. */
async function expectCopy(scene: Scene, date: string): Promise<void> {
  const folder = `${scene.prefix}/${scene.collection}`;
  const { bytes, manifest } = await scene.published();
  const key = `${folder}/${date}.parquet`;
  expect(sameBytes(await runs.store.bytes(key), bytes)).toBe(true);
  const text = Buffer.from((await runs.store.bytes(`${folder}/${date}.json`)) ?? []).toString();
  const { etag } = (await runs.store.head(key)) ?? {};
  const files = manifest.files.map((file: object) => ({ ...file, key, etag }));
  expect(JSON.parse(text)).toEqual({ ...manifest, files });
}

const LATEST = ['latest.json', 'latest.parquet'];
const pair = (date: string) => [`${date}.json`, `${date}.parquet`];

describe.skipIf(!runs.hasStore)('--keep', () => {
  test(
    'makes a dated copy a run, keeps the newest and removes no object of others',
    async () => {
      const prefix = 'keeping';
      const scenes = [0, 1, 2, 3].map((day) =>
        runs.scene(PARQUET, { prefix, collection: 'notes', epoch: 1_700_000_000 + day * 86_400 }),
      );
      const dates = ['20231114T221320Z', '20231115T221320Z', '20231116T221320Z', '20231117T221320Z'];
      const foreign = {
        '20200101T000000Z.parquet': 'nobody says whose it is',
        '20200102T000000Z.parquet': 'beside it is what is no manifest',
        '20200102T000000Z.json': '{"files":[{"key":"keeping/notes/20200102T000000Z.parquet"}]}',
        '20200103T000000Z.parquet': 'of another collection',
        '20200104T000000Z.json': 'no JSON',
        '20200105T000000.parquet': 'no date of ours',
        'mine.parquet': 'of somebody',
      };
      for (const [name, text] of Object.entries(foreign)) {
        await runs.store.write(`${prefix}/notes/${name}`, Buffer.from(text));
      }
      let beside = Object.keys(foreign);
      for (const [day, scene] of scenes.entries()) {
        const ended = await scene.run('--keep', '2');
        expect(ended.code).toBe(0);
        const kept = dates.slice(Math.max(0, day - 1), day + 1);
        expect(ended.stderr.replaceAll(/\n {10}/g, ' ')).toContain(
          `Copies    s3://${runs.store.bucket}/${prefix}/notes/${dates[day]}.parquet${day > 1 ? ', 1 older one removed' : ''}\n`,
        );
        await expectCopy(scene, dates[day] as string);
        expect(namesIn(scene)).toEqual([...beside, ...kept.flatMap(pair), ...LATEST].sort());
        if (day === 0) {
          // A manifest of this tool's, but of another collection.
          const [latest] = [JSON.stringify({ ...(await scene.published()).manifest, collection: 'other' })];
          await runs.store.write(`${prefix}/notes/20200103T000000Z.json`, Buffer.from(latest));
          beside = [...beside, '20200103T000000Z.json'];
        }
      }
      for (const [name, text] of Object.entries(foreign)) {
        expect(Buffer.from((await runs.store.bytes(`${prefix}/notes/${name}`)) ?? []).toString()).toBe(text);
      }
    },
    2 * LIMIT_MS,
  );

  for (const way of [PARQUET, STREAMED]) {
    test(
      `makes the copy of a run that went on (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        await scene.killedInUpload('--keep', '2');
        expect(namesIn(scene)).toEqual([]);
        const ended = await scene.run('--keep', '2', '--resume');
        expect(ended.code).toBe(0);
        expect(namesIn(scene)).toEqual([...pair('20231114T221320Z'), ...LATEST]);
        await expectCopy(scene, '20231114T221320Z');
        expect(scene.left).toEqual([]);
      },
      2 * LIMIT_MS,
    );

    test(
      `makes the copy that a run which was killed did not make (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        const isCopy = ({ operation }: { operation: string }) =>
          operation === 'Copy' || operation === 'CopyPart';
        runs.proxy.faults = (request) => (isCopy(request) ? { kind: 'stall' } : undefined);
        const standing = runs.proxy.arrival(isCopy).then(() => {});
        await killWhen(await scene.start('--keep', '2'), standing);
        runs.reset();
        expect(namesIn(scene)).toEqual(LATEST);
        const ended = await scene.run('--keep', '2', '--resume');
        expect(ended.stderr).toContain('Going on with the run of ');
        expect(ended.code).toBe(0);
        expect(namesIn(scene)).toEqual([...pair('20231114T221320Z'), ...LATEST]);
        await expectCopy(scene, '20231114T221320Z');
      },
      2 * LIMIT_MS,
    );
  }

  test(
    'tells that the export is published when its copy cannot be made, and the last line makes it',
    async () => {
      const scene = runs.scene(PARQUET, { collection: 'notes' });
      runs.proxy.faults = ({ operation }) =>
        operation === 'Copy' ? { kind: 'status', status: 403, code: 'AccessDenied' } : undefined;
      const failed = await scene.run('--keep', '2');
      runs.reset();
      expect(failed.stderr).toMatch(
        /^Error: The export is published as s3:\S+, but its dated copies are not/m,
      );
      expect(failed.code).toBe(12);
      expect(namesIn(scene)).toEqual(LATEST);
      const again = await scene.goOn(failed);
      expect(again.code).toBe(0);
      await expectCopy(scene, '20231114T221320Z');
    },
    2 * LIMIT_MS,
  );
});
