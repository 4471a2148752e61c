import { afterAll, afterEach, describe, expect, test } from 'bun:test';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BY_FILE, NDJSON_FILE, PARQUET, PARQUET_FILE, STREAMED, type Way } from '../support/export-ways.ts';
import { LongRuns } from '../support/long-run.ts';
import { LIMIT_MS, type Scene, sameBytes } from '../support/long-run-scene.ts';
import { mountSmall } from '../support/small-disk.ts';

/*
 * Disks of a few megabytes that become full in the middle of a run: a file of the test's own takes what is free, while
 * Qdrant makes an answer.
 */

const MB = 1_000_000;
const runs = await LongRuns.start();
const disks: { unmount(): void }[] = [];
const canMount = (() => {
  const disk = mountSmall('1m');
  disk.unmount();
  return disk.path !== undefined;
})();

afterEach(() => {
  runs.reset();
  for (const disk of disks.splice(0)) disk.unmount();
});
afterAll(() => runs.stop());

/** A disk of so many megabytes with a file that takes all but `free` bytes of it. */
function smallDisk(megabytes: number): SmallFolder {
  const disk = mountSmall(`${megabytes}m`);
  disks.push(disk);
  const folder = join(disk.path as string, 'folder');
  mkdirSync(folder);
  const ballast = join(disk.path as string, 'ballast');
  return {
    folder,
    fill(left = 0) {
      rmSync(ballast, { force: true });
      const { bavail, bsize } = statfsSync(folder);
      const free = bavail * bsize;
      try {
        writeFileSync(ballast, Buffer.alloc(Math.max(0, free - left)));
      } catch (error) {
        // The run wrote meanwhile: it is full all the same.
        if ((error as { code?: string }).code !== 'ENOSPC' || left > 0) throw error;
      }
    },
    makeRoom: () => rmSync(ballast, { force: true }),
  };
}

interface SmallFolder {
  readonly folder: string;
  /** Takes all of the disk but so many bytes. */
  fill(left?: number): void;
  makeRoom(): void;
}

/** Fills the disk when so many points were asked for. */
function fillAfter(disk: SmallFolder, points: number): void {
  let asked = 0;
  let isFull = false;
  runs.double.setFaults((request) => {
    if (request.method === 'retrieve') asked += request.points;
    if (asked > points && !isFull) disk.fill();
    isFull ||= asked > points;
    return undefined;
  });
}

/** Fills it when all points are read, before the data file is whole. */
function fillAtLastLook(disk: SmallFolder): void {
  let counts = 0;
  runs.double.setFaults(({ method }) => {
    if (method === 'count' && ++counts === 2) disk.fill();
    return undefined;
  });
}

async function expectRight(scene: Scene): Promise<void> {
  const { bytes, manifest } = await scene.published();
  expect(sameBytes(bytes, await runs.whole(scene.way))).toBe(true);
  expect(manifest.files[0].bytes).toBe(bytes?.length);
  expect(scene.left).toEqual([]);
  if (runs.hasStore) expect(await scene.openUploads()).toEqual([]);
}

/** Runs until the disk is full, makes room and does what the last line says. */
async function expectStopsAndGoesOn(scene: Scene, disk: SmallFolder, fill: () => void): Promise<void> {
  await runs.whole(scene.way);
  fill();
  const stopped = await scene.run();
  runs.double.setFaults(undefined);
  expect(stopped.stderr).toMatch(/^Error: Cannot .*(ENOSPC|the disk of .* is nearly full|the disk is full)/m);
  expect(stopped.stderr).not.toMatch(/^\s+at /m);
  expect(stopped.code).toBe(12);
  expect(await scene.published()).toEqual({ bytes: undefined, manifest: undefined });
  expect(scene.left).toContain('journal');
  disk.makeRoom();
  const again = await scene.goOn(stopped);
  expect(again.stderr).toContain('Going on with the run of ');
  expect(again.code).toBe(0);
  await expectRight(scene);
}

describe.skipIf(!canMount)('a disk that becomes full', () => {
  for (const way of BY_FILE) {
    test.skipIf(!runs.can(way))(
      `under the work files stops the run, which goes on when there is room (${way.name})`,
      async () => {
        const disk = smallDisk(64);
        const scene = runs.scene(way, { work: disk.folder });
        await expectStopsAndGoesOn(scene, disk, () => fillAfter(disk, 1_500));
      },
      2 * LIMIT_MS,
    );

    test.skipIf(!runs.can(way))(
      `little by little stops the run before it is full (${way.name})`,
      async () => {
        const disk = smallDisk(64);
        const scene = runs.scene(way, { work: disk.folder });
        await runs.whole(way);
        disk.fill(26 * MB);
        const stopped = await scene.run();
        expect(stopped.stderr).toMatch(
          /^Warning: \d+ MB are free in .* may become full before the run is over/m,
        );
        expect(stopped.stderr).toMatch(
          /^Error: Cannot go on writing work files: the disk of .* nearly full/m,
        );
        expect(stopped.code).toBe(12);
        disk.makeRoom();
        const again = await scene.goOn(stopped);
        expect(again.code).toBe(0);
        await expectRight(scene);
      },
      2 * LIMIT_MS,
    );
  }

  test(
    'under a local file that grows stops the run, which goes on when there is room',
    async () => {
      const disk = smallDisk(64);
      const scene = runs.scene(PARQUET_FILE, { out: disk.folder });
      await expectStopsAndGoesOn(scene, disk, () => fillAfter(disk, 1_500));
    },
    2 * LIMIT_MS,
  );

  for (const way of [NDJSON_FILE, ...toFiles(BY_FILE)]) {
    test(
      `while a local file is made of the data stops the run, which goes on from the data (${way.name})`,
      async () => {
        const disk = smallDisk(64);
        const scene = runs.scene(way, { out: disk.folder });
        await expectStopsAndGoesOn(scene, disk, () => fillAtLastLook(disk));
      },
      2 * LIMIT_MS,
    );
  }

  for (const way of [PARQUET_FILE, STREAMED]) {
    test.skipIf(!runs.can(way))(
      `under nothing but the journal stops the run, which goes on when there is room (${way.name})`,
      async () => {
        const disk = smallDisk(1);
        const scene = runs.scene(way, { work: disk.folder });
        await expectStopsAndGoesOn(scene, disk, () => fillAfter(disk, 1_500));
      },
      2 * LIMIT_MS,
    );
  }
});

/** The same ways to a file; only those that convert. */
function toFiles(ways: readonly Way[]): readonly Way[] {
  return ways
    .filter(({ duckdb }) => duckdb)
    .map((way) => ({ ...way, name: `${way.name} to a file`, target: 'file' as const }));
}

describe.skipIf(!canMount)('a disk that is too small from the start', () => {
  for (const way of BY_FILE) {
    test.skipIf(!runs.can(way))(
      `is refused before anything is read (${way.name})`,
      async () => {
        const disk = smallDisk(17);
        runs.double.fetched('docs').reset();
        const refused = await runs.scene(way, { work: disk.folder }).run();
        expect(refused.stderr).toMatch(
          /^Error: Cannot begin the export: \d+ MB are free in .*, and the work files may take up to \d+ MB\. Make room/m,
        );
        expect(refused.stderr).not.toContain('Go on with');
        expect(refused.code).toBe(12);
        // A look at the first ones.
        expect(runs.double.fetched('docs').total).toBeLessThanOrEqual(16);
        expect(refused.workFiles).toEqual([]);
      },
      2 * LIMIT_MS,
    );
  }

  for (const way of [PARQUET_FILE, NDJSON_FILE]) {
    test(
      `for the local file is refused before anything is read (${way.name})`,
      async () => {
        const disk = smallDisk(17);
        const scene = runs.scene(way, { out: disk.folder });
        runs.double.fetched('docs').reset();
        const refused = await scene.run();
        expect(refused.stderr).toMatch(/^Error: Cannot begin the export: \d+ MB are free in /m);
        expect(refused.code).toBe(12);
        expect(runs.double.fetched('docs').total).toBeLessThanOrEqual(16);
        expect(refused.workFiles).toEqual([]);
      },
      2 * LIMIT_MS,
    );
  }

  for (const way of [PARQUET_FILE, STREAMED]) {
    test.skipIf(!runs.can(way))(
      `for work files is enough where nothing but the journal is written to it (${way.name})`,
      async () => {
        const disk = smallDisk(1);
        const scene = runs.scene(way, { work: disk.folder });
        const ended = await scene.run();
        expect(ended.stderr).not.toContain('are free in');
        expect(ended.code).toBe(0);
        await expectRight(scene);
      },
      2 * LIMIT_MS,
    );
  }

  test.skipIf(!runs.hasStore)(
    'and full is told of by a run that needs it for its journal alone, which goes on without',
    async () => {
      const disk = smallDisk(1);
      disk.fill();
      const scene = runs.scene(STREAMED, { work: disk.folder });
      const ended = await scene.run();
      expect(ended.stderr).toMatch(
        /^Note: An interruption could not be gone on with, as there is no journal: .*disk is full/m,
      );
      expect(ended.code).toBe(0);
      await expectRight(scene);
    },
    2 * LIMIT_MS,
  );

  test.skipIf(!runs.hasStore)(
    'and full is an error where work files are wanted',
    async () => {
      const disk = smallDisk(1);
      disk.fill();
      const refused = await runs.scene(PARQUET, { work: disk.folder }).run();
      expect(refused.stderr).toMatch(
        /^Error: Cannot (make|lock) the work folder .*: the disk is full \(ENOSPC\)/m,
      );
      expect(refused.code).toBe(2);
    },
    2 * LIMIT_MS,
  );
});
