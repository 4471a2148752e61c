import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { DUCKDB, NDJSON, PARQUET, STREAMED } from '../support/export-ways.ts';
import { DUCKDB_MISSING } from '../support/foreign-readers.ts';
import { LongRuns } from '../support/long-run.ts';
import { argumentsOf, LIMIT_MS, resumeLine, type Scene } from '../support/long-run-scene.ts';
import type { Faults } from '../support/qdrant-double/fault.ts';

/*
 * Several collections in one run. `bare` has no vectors, which schema milvus cannot hold.
 */

const runs = await LongRuns.start({}, [
  { name: 'alpha', points: 500, dimensions: 8, payloadBytes: 40 },
  { name: 'bare', points: 10, dimensions: 0, vectors: [] },
  { name: 'gamma', points: 700, dimensions: 8, payloadBytes: 40 },
]);
const NAMES = ['alpha', 'bare', 'docs', 'gamma'];

afterEach(() => runs.reset());
afterAll(() => runs.stop());

function named(...names: readonly string[]): readonly string[] {
  return names.flatMap((name) => ['--collection', name]);
}

/** Rows by collection of what is in the store under the scene's prefix; manifests fit their exports. */
async function rowsIn(scene: Scene): Promise<Readonly<Record<string, number>>> {
  const rows: Record<string, number> = {};
  for (const collection of NAMES) {
    const { prefix, work } = scene;
    const one = runs.scene(scene.way, { prefix, work, collection });
    const { bytes, manifest } = await one.published();
    expect(bytes === undefined).toBe(manifest === undefined);
    if (manifest === undefined) continue;
    expect(manifest.collection).toBe(collection);
    expect(manifest.files[0].bytes).toBe(bytes?.length);
    rows[collection] = manifest.counts.rows;
  }
  return rows;
}

/** Refuses reads of one collection. */
function refusing(name: string): Faults {
  return ({ collection, method }) =>
    collection === name && method === 'retrieve'
      ? { kind: 'status', http: 403, grpc: 7, message: 'Forbidden: not today' }
      : undefined;
}

const FORMATS = [PARQUET, NDJSON, ...(DUCKDB_MISSING ? [] : [DUCKDB]), STREAMED];

describe.skipIf(!runs.hasStore)('several collections', () => {
  for (const way of FORMATS) {
    test(
      `one fails, the others are exported, and the last line goes on with it (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        runs.double.setFaults(refusing('docs'));
        const some = await scene.startWith([...named('alpha', 'docs', 'gamma'), ...scene.args]);
        const ended = await some.result;
        runs.reset();
        expect(ended.stderr).toMatch(/^\[1\/3\] alpha$/m);
        expect(ended.stderr).toMatch(/^\[3\/3\] gamma$/m);
        expect(ended.stderr).toMatch(/^Error: .*not today/m);
        expect(ended.stderr).toMatch(/^alpha {2}500 rows, .*\ndocs {3}.*not today.*\ngamma {2}700 rows, /m);
        expect(ended.stderr).toMatch(/^2 of 3 exported, 1 failed$/m);
        expect(ended.code).toBe(10);
        expect(await rowsIn(scene)).toEqual({ alpha: 500, gamma: 700 });
        const left = argumentsOf(resumeLine(ended.stderr));
        expect(left.slice(0, 2)).toEqual(['--collection', 'docs']);
        expect(left.filter((word) => word === '--collection')).toHaveLength(1);
        runs.double.fetched('alpha').reset();
        const again = await scene.goOn(ended);
        expect(again.code).toBe(0);
        expect(runs.double.fetched('alpha').total).toBe(0);
        expect(await rowsIn(scene)).toEqual({ alpha: 500, docs: 3_000, gamma: 700 });
        expect(again.workFiles).toEqual([]);
        expect(await runs.store.openUploads()).toEqual([]);
      },
      2 * LIMIT_MS,
    );
  }

  test(
    '--all has every collection but the one that does not fit, and the exit code of the first failure',
    async () => {
      const scene = runs.scene(PARQUET);
      runs.double.setFaults(refusing('gamma'));
      const ended = await (await scene.startWith(['--all', ...scene.args, '--schema', 'milvus'])).result;
      expect(ended.stderr).toMatch(/^\[4\/4\] gamma$/m);
      expect(ended.stderr).toMatch(/^2 of 4 exported, 2 failed$/m);
      // What bare failed with, and not gamma's 10.
      expect(ended.code).toBe(2);
      expect(await rowsIn(scene)).toEqual({ alpha: 500, docs: 3_000 });
    },
    2 * LIMIT_MS,
  );

  test(
    '--json is one document, with what to go on with',
    async () => {
      const scene = runs.scene(PARQUET);
      runs.double.setFaults(refusing('docs'));
      const args = [...named('alpha', 'docs'), ...scene.args, '--json'];
      const ended = await (await scene.startWith(args)).result;
      runs.reset();
      expect(ended.code).toBe(10);
      const { exports, resume } = ended.json();
      expect(exports).toHaveLength(2);
      expect(exports[0]).toMatchObject({ collection: 'alpha', counts: { rows: 500 } });
      expect(exports[1]).toMatchObject({ collection: 'docs', error: { code: 'qdrant', exitCode: 10 } });
      expect(resume).toBe(resumeLine(ended.stderr));
      const again = await scene.goOn(ended);
      expect(again.json()).toMatchObject({ collection: 'docs', counts: { rows: 3_000 } });
    },
    2 * LIMIT_MS,
  );

  test(
    '--quiet says nothing where all goes well, and what failed where it does not',
    async () => {
      const scene = runs.scene(PARQUET);
      const args = [...named('alpha', 'gamma'), ...scene.args, '--quiet'];
      const well = await (await scene.startWith(args)).result;
      expect({ code: well.code, stdout: well.stdout, stderr: well.stderr }).toEqual({
        code: 0,
        stdout: '',
        stderr: '',
      });
      runs.double.setFaults(refusing('gamma'));
      const ended = await (await scene.startWith(args)).result;
      expect(ended.stdout).toBe('');
      const lines = ended.stderr.trimEnd().split('\n');
      expect(lines[0]).toMatch(/^Error: gamma: .*not today/);
      expect(lines.at(-1)).toMatch(/^Go on with: .* --collection gamma .*--resume/);
      expect(ended.stderr).toMatch(/^1 of 2 exported, 1 failed$/m);
      expect(ended.code).toBe(10);
    },
    2 * LIMIT_MS,
  );

  for (const way of [PARQUET, STREAMED]) {
    test(
      `a run that is stopped in the second says what is left, and goes on with that (${way.name})`,
      async () => {
        const scene = runs.scene(way);
        // In the middle of docs: alpha takes 500 of them.
        const standing = runs.stallAfter(500 + 2_700);
        const docs = runs.scene(way, { work: scene.work, prefix: scene.prefix });
        const running = await scene.startWith([...named('alpha', 'docs', 'gamma'), ...scene.args]);
        await Promise.race([Promise.all([standing, docs.recorded('safe')]), running.result]);
        running.kill('SIGTERM');
        const ended = await running.result;
        runs.reset();
        expect(ended.code).toBe(143);
        expect(ended.stderr).toMatch(/^1 of 3 exported, 1 stopped, 1 not begun$/m);
        expect(argumentsOf(resumeLine(ended.stderr)).slice(0, 4)).toEqual([...named('docs', 'gamma')]);
        runs.double.fetched('docs').reset();
        const again = await scene.goOn(ended);
        expect(again.stderr).toContain('Going on with the run of ');
        expect(again.code).toBe(0);
        expect(runs.double.fetched('docs').total).toBeLessThan(3_000);
        expect(await rowsIn(scene)).toEqual({ alpha: 500, docs: 3_000, gamma: 700 });
        expect(again.workFiles).toEqual([]);
      },
      2 * LIMIT_MS,
    );
  }
});
