import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { WorkFolder } from '../../../lib/storage/storage.ts';
import type { Converter } from '../../../lib/writers/converter.ts';
import { type MemoryStore, memoryStore } from '../../support/memory-store.ts';
import { type MemoryDisk, memoryDisk } from '../../support/memory-work-folder.ts';
import { idsTo, runProcess, wholeFile } from '../../support/run-scene.ts';

const IDS = idsTo(30);
const lineOf = (id: string) => id.padStart(99, '.');
const MADE = `made of ${wholeFile(IDS, lineOf)}`;

/** Writes what it is given behind two words. */
function converterOn({ files }: MemoryDisk, other: Partial<Converter> = {}): Converter {
  return {
    description: 'converter',
    rowGroupRows: 10,
    estimateBytes: (points) => points,
    async convert({ from, to }) {
      files.set(to, new Uint8Array(Buffer.from(`made of ${Buffer.from(files.get(from) ?? [])}`)));
    },
    summary: async () => ({ rows: IDS.length, rowGroups: 3 }),
    ...other,
  };
}

interface Trial {
  readonly disk: MemoryDisk;
  readonly store?: MemoryStore;
  readonly converter?: Partial<Converter>;
  readonly work?: Partial<WorkFolder>;
  readonly signal?: AbortSignal;
  readonly debug?: boolean;
}

async function converted({
  disk,
  store = memoryStore(1_000_000),
  converter,
  work = {},
  signal,
  debug,
}: Trial) {
  const ended = await runProcess({
    ids: IDS,
    lineOf,
    disk,
    work,
    plan: {
      streaming: false,
      resume: disk.records().length > 0,
      options: { strategy: 'lines' },
      debug: debug ?? false,
    },
    ...(signal === undefined ? {} : { signal }),
    parts: { destination: store.destination(), converter: () => converterOn(disk, converter) },
  });
  return { ...ended, text: Buffer.from(store.objects.get('k')?.bytes ?? []).toString() };
}

/** What a kill within the conversion leaves, with half a file. */
async function killed(): Promise<MemoryDisk> {
  const disk = memoryDisk();
  let left: MemoryDisk | undefined;
  await converted({
    disk,
    converter: {
      async convert({ to }) {
        disk.files.set(to, new Uint8Array(7));
        disk.files.set('work/scratch', new Uint8Array(7));
        left = disk.copy();
        throw new ToolError('format', 'Killed.');
      },
    },
  });
  if (left === undefined) throw new Error('It was not killed.');
  return left;
}

describe('makeParquetFile()', () => {
  test('publishes what the converter makes, and removes all else', async () => {
    const disk = memoryDisk();
    const { text, report } = await converted({ disk });
    expect(text).toBe(MADE);
    expect(report?.file?.files[0]).toMatchObject({
      bytes: MADE.length,
      sha256: new Bun.CryptoHasher('sha256').update(MADE).digest('hex'),
      rowGroups: 3,
    });
    expect([...disk.files.keys()]).toEqual([]);
  });

  test('converts again after a kill, without reading a point and without what the other one left', async () => {
    const disk = await killed();
    const found: string[][] = [];
    const { text, notes } = await converted({
      disk,
      converter: {
        async convert(job, signal) {
          found.push([...disk.files.keys()].filter((path) => path !== job.from && path !== 'work/memory'));
          await converterOn(disk).convert(job, signal);
        },
      },
    });
    expect(notes).toContain('all 30 rows are read');
    expect(found).toEqual([[]]);
    expect(text).toBe(MADE);
  });

  test('keeps the data and the Parquet file with --debug', async () => {
    const disk = memoryDisk();
    const { report } = await converted({ disk, debug: true });
    expect(report?.workFiles).toEqual(['work/lines.ndjson.gz', 'work/lines.parquet']);
    expect(disk.records()).toEqual([]);
  });

  test('converts no data of another size than was written', async () => {
    const disk = await killed();
    disk.files.set('work/lines.ndjson.gz', new Uint8Array(3));
    const { error, text } = await converted({ disk });
    expect(error?.code).toBe('integrity');
    expect(error?.message).toContain('Cannot convert "work/lines.ndjson.gz": it has 3 bytes, and ');
    expect(text).toBe('');
  });

  test('publishes nothing of another number of rows', async () => {
    const disk = memoryDisk();
    const summary = async () => ({ rows: 29, rowGroups: 1 });
    const { error, text } = await converted({ disk, converter: { summary } });
    expect(error?.message).toBe(
      'Cannot publish what converter made of "work/lines.ndjson.gz": it has 29 rows, and 30 were exported.',
    );
    expect(text).toBe('');
  });

  test('leaves the data for a run that goes on, when the converter fails', async () => {
    const disk = memoryDisk();
    const convert = () => Promise.reject(new ToolError('format', 'Cannot convert.'));
    const { isResumable } = await converted({ disk, converter: { convert } });
    expect(isResumable).toBe(true);
    expect((await converted({ disk })).text).toBe(MADE);
  });

  const part = 'work/lines.parquet.part';
  test('stops when the run does, while the disk takes its time', async () => {
    const disk = memoryDisk();
    const stop = new AbortController();
    const grow: WorkFolder['grow'] = async (path, length) => {
      const file = await disk.open().grow(path, length);
      const sync = () => {
        stop.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
        return new Promise<void>(() => {});
      };
      return path === part ? { ...file, sync } : file;
    };
    const { error, isResumable } = await converted({ disk, work: { grow }, signal: stop.signal });
    expect(error?.message).toBe('Stopped by Ctrl+C.');
    expect(isResumable).toBe(true);
  });

  test('stops when the run does, while the file is hashed', async () => {
    const disk = memoryDisk();
    const stop = new AbortController();
    let chunks = 0;
    const own = disk.open();
    const endless = () =>
      new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull(controller) {
          if (++chunks === 3) stop.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
          controller.enqueue(new Uint8Array(8));
          if (chunks === 100) controller.close();
        },
      });
    const read = (path: string) => (path === part ? endless() : own.read(path));
    const { error } = await converted({ disk, work: { read }, signal: stop.signal });
    expect(error?.message).toBe('Stopped by Ctrl+C.');
    expect(chunks).toBeLessThan(10);
  });
});

describe('makeParquetFile() of what a converter splits', () => {
  /** Two files: of the first 1,000 bytes and 10 rows, and of the rest. */
  const made = (disk: MemoryDisk): Partial<Converter> => ({
    async convert(job, signal) {
      await converterOn(disk).convert(job, signal);
      const bytes = disk.files.get(job.to)?.length ?? 0;
      return [
        { bytes: 1_000, rows: 10, rowGroups: 1 },
        { bytes: bytes - 1_000, rows: 20, rowGroups: 2 },
      ];
    },
    summary: async (_, range) =>
      range?.start === 0 ? { rows: 10, rowGroups: 1 } : { rows: 20, rowGroups: 2 },
  });

  function split(disk: MemoryDisk, store: MemoryStore, other: Partial<Converter> = {}) {
    return runProcess({
      ids: IDS,
      lineOf,
      disk,
      plan: { streaming: false, splitBytes: 2_100, options: { strategy: 'lines' } },
      parts: {
        destination: store.destination(),
        converter: () => converterOn(disk, { ...made(disk), ...other }),
      },
    });
  }

  test('publishes each of its files, which its own footer speaks for', async () => {
    const [disk, store] = [memoryDisk(), memoryStore(1_000_000)];
    const asked: unknown[] = [];
    const summary: Converter['summary'] = async (path, range) => {
      asked.push(range);
      return (await made(disk).summary?.(path, range)) ?? { rows: 0, rowGroups: 0 };
    };
    const { report, error } = await split(disk, store, { summary });
    expect(error).toBeUndefined();
    expect(asked).toEqual([
      { start: 0, end: 1_000 },
      { start: 1_000, end: MADE.length },
    ]);
    const files = report?.file?.files ?? [];
    expect(files.map(({ key }) => Buffer.from(store.objects.get(key)?.bytes ?? []).toString()).join('')).toBe(
      MADE,
    );
    expect(files.map(({ bytes, rows, rowGroups }) => [bytes, rows, rowGroups])).toEqual([
      [1_000, 10, 1],
      [MADE.length - 1_000, 20, 2],
    ]);
    expect(files.map(({ sha256 }) => sha256)).toEqual(
      [MADE.slice(0, 1_000), MADE.slice(1_000)].map((text) =>
        new Bun.CryptoHasher('sha256').update(text).digest('hex'),
      ),
    );
    expect(report?.file?.rowGroups).toBe(3);
  });

  test('publishes nothing where a footer says something else', async () => {
    const [disk, store] = [memoryDisk(), memoryStore(1_000_000)];
    const summary = async () => ({ rows: 10, rowGroups: 1 });
    const { error } = await split(disk, store, { summary });
    expect(error?.message).toBe(
      'Cannot publish what converter made of "work/lines.ndjson.gz": a file of it has 10 rows in 1 row groups, and 20 in 2 are wanted.',
    );
    expect(store.objects.size).toBe(0);
  });

  test('publishes nothing of a converter that does not split', async () => {
    const [disk, store] = [memoryDisk(), memoryStore(1_000_000)];
    const { error } = await split(disk, store, { convert: converterOn(disk).convert });
    expect(error?.code).toBe('integrity');
    expect(error?.message).toContain('Cannot split the export into files of at most 2100 bytes');
    expect(store.objects.size).toBe(0);
  });
});
