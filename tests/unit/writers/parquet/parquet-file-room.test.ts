import { describe, expect, test } from 'bun:test';
import { byteCount } from '../../../../lib/writers/parquet/byte-count.ts';
import {
  type AssembleOptions,
  assembleParquet,
  type Laid,
} from '../../../../lib/writers/parquet/parquet-assemble.ts';
import type { ColumnSpec } from '../../../../lib/writers/parquet/parquet-columns.ts';
import type { ColumnPages, EncodedPage, ParquetUnit } from '../../../../lib/writers/parquet/parquet-page.ts';
import { leavesOf } from '../../../../lib/writers/parquet/parquet-schema.ts';
import { seeded } from '../../../support/batches.ts';
import { upTo } from '../../../support/random-cells.ts';
import { filesOf } from '../../../support/split-files.ts';

const COLUMNS: readonly ColumnSpec[] = [
  { kind: 'text', name: 'key', bounds: true },
  { kind: 'text', name: 'metadata', bounds: false },
  { kind: 'sparse', name: 'words', encoding: 'plain' },
  { kind: 'dense', name: 'vector', encoding: 'plain' },
];
const LEAVES = COLUMNS.flatMap(leavesOf).length;

/** A text whose upper bound readers can only be given whole: no text is a little greater. */
const LAST_TEXT = new TextEncoder().encode('\u{10ffff}'.repeat(90));

function page(random: () => number, rows: number, most: number): EncodedPage {
  const body = new Uint8Array(upTo(random, most));
  const header = new Uint8Array(20 + upTo(random, 30));
  const uncompressedBytes = header.length + body.length * upTo(random, 5);
  return { rowCount: rows, valueCount: rows * 7, header, body, pooled: undefined, uncompressedBytes };
}

function column(random: () => number, leaf: number, rows: number, most: number): ColumnPages {
  const cuts = leaf === 0 ? 1 : Math.min(rows, upTo(random, 4));
  const pages = Array.from({ length: cuts }, (_, index) =>
    page(random, index < cuts - 1 ? 1 : rows - cuts + 1, most),
  );
  if (leaf > 1) return { pages };
  const max = random() < 0.2 ? LAST_TEXT : new TextEncoder().encode('x'.repeat(upTo(random, 40)));
  const bounds = leaf === 0 ? { min: max, max } : { min: undefined, max: undefined };
  return { pages, statistics: { nullCount: upTo(random, 300), ...bounds } };
}

/** Units of a few rows, some of none, in pages of any size up to `most`. */
function randomUnits(random: () => number, count: number, most: number): readonly ParquetUnit[] {
  return Array.from({ length: count }, (_, index) => {
    const rowCount = index % 11 === 5 ? 0 : upTo(random, 9);
    const columns = Array.from({ length: LEAVES }, (__, leaf) =>
      rowCount === 0 ? { pages: [] } : column(random, leaf, rowCount, most),
    );
    return { rowCount, columns };
  });
}

interface Laying {
  readonly bytes: Buffer;
  readonly laid: Laid;
}

async function lay(
  units: readonly ParquetUnit[],
  settings: Pick<AssembleOptions, 'rowGroupRows' | 'splitBytes'>,
): Promise<Laying> {
  async function* source(): AsyncGenerator<ParquetUnit> {
    // Copies: what was written is freed.
    for (const unit of units) yield structuredClone(unit);
  }
  const chunks = assembleParquet(source(), {
    columns: COLUMNS,
    codec: 0,
    createdBy: 'test',
    keyValues: [{ key: 'qdrant.collection', value: 'things' }],
    release: () => {},
    ...settings,
  });
  const taken: Uint8Array[] = [];
  for (;;) {
    const step: IteratorResult<Uint8Array, Laid> = await chunks.next();
    if (step.done) return { bytes: Buffer.concat(taken), laid: step.value };
    taken.push(new Uint8Array(step.value));
  }
}

/** The error of a limit that some unit does not fit; undefined where all do. */
async function problem(units: readonly ParquetUnit[], splitBytes: number): Promise<string | undefined> {
  try {
    await lay(units, { rowGroupRows: 20, splitBytes });
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: 'usage' });
    return (error as Error).message;
  }
}

/** What the rows that do not fit need, as the error says. */
function needed(message: string): number {
  return Number(/ needs? a file of ([\d,]+) bytes\./.exec(message)?.[1]?.replaceAll(',', ''));
}

/** The least limit that takes all units, by what the errors say. */
async function leastLimit(units: readonly ParquetUnit[]): Promise<number> {
  let least = 1;
  for (;;) {
    const found = await problem(units, least);
    if (found === undefined) return least;
    least = needed(found);
  }
}

/** What a file may fall short by: numbers of a footer that are counted before they are known. */
const SLACK_A_LEAF = 45;
const SLACK_A_PAGE = 16;

function slackOf(units: readonly ParquetUnit[]): number {
  const pages = units.flatMap(({ columns }) => columns.flatMap((leaf) => leaf.pages)).length;
  return 60 + LEAVES * SLACK_A_LEAF + pages * SLACK_A_PAGE;
}

/** Units by file: those that have its rows. */
function unitsByFile(units: readonly ParquetUnit[], laid: Laid): readonly (readonly ParquetUnit[])[] {
  const left = units.filter(({ rowCount }) => rowCount > 0);
  return (laid.parts ?? []).map(({ rows }) => {
    const taken: ParquetUnit[] = [];
    let found = 0;
    while (found < rows) {
      const unit = left.shift() as ParquetUnit;
      taken.push(unit);
      found += unit.rowCount;
    }
    expect(found).toBe(rows);
    return taken;
  });
}

describe('files of at most so many bytes', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('keep to any limit, and use it: seed %d', async (seed) => {
    const random = seeded(seed);
    const units = randomUnits(random, 60, [40, 300, 3000][seed % 3] as number);
    const least = await leastLimit(units);
    const whole = await lay(units, { rowGroupRows: 20 });
    const limits = [least, least + 1, ...[1, 2, 3, 4].map(() => least + upTo(random, whole.bytes.length))];
    for (const splitBytes of limits) {
      const rowGroupRows = upTo(random, 60);
      const { bytes, laid } = await lay(units, { rowGroupRows, splitBytes });
      const files = filesOf(bytes, laid.parts);
      const byFile = unitsByFile(units, laid);
      for (const [index, file] of files.entries()) {
        expect(file.length).toBeLessThanOrEqual(splitBytes);
        const next = byFile[index + 1]?.[0];
        // By itself each file is what its units make.
        const own = byFile[index] as readonly ParquetUnit[];
        expect((await lay(own, { rowGroupRows })).bytes.equals(file)).toBeTrue();
        if (next === undefined) continue;
        const more = [...own, next];
        const larger = (await lay(more, { rowGroupRows })).bytes.length;
        expect(larger).toBeGreaterThan(splitBytes - slackOf(more));
      }
    }
  });

  test('tell what each of them holds, and all together', async () => {
    const units = randomUnits(seeded(9), 60, 300);
    const { laid } = await lay(units, { rowGroupRows: 20, splitBytes: 9000 });
    const parts = laid.parts ?? [];
    expect(parts.length).toBeGreaterThan(5);
    expect(laid.rows).toBe(units.reduce((sum, { rowCount }) => sum + rowCount, 0));
    expect(laid.rows).toBe(parts.reduce((sum, { rows }) => sum + rows, 0));
    expect(laid.rowGroups).toBe(parts.reduce((sum, { rowGroups }) => sum + rowGroups, 0));
    expect(laid.rowGroups).toBeGreaterThan(parts.length);
  });

  test('are one, byte for byte the same, where all fits it', async () => {
    const units = randomUnits(seeded(10), 30, 300);
    const whole = await lay(units, { rowGroupRows: 20 });
    const split = await lay(units, { rowGroupRows: 20, splitBytes: 1_000_000 });
    expect(split.bytes.equals(whole.bytes)).toBeTrue();
    expect(whole.laid.parts).toBeUndefined();
    const { rows, rowGroups } = whole.laid;
    expect(split.laid).toEqual({ rows, rowGroups, parts: [{ bytes: whole.bytes.length, rows, rowGroups }] });
  });

  test('are one of no rows where there are none', async () => {
    const none = await lay([], { rowGroupRows: 20, splitBytes: 1_000_000 });
    expect(none.laid).toEqual({
      rows: 0,
      rowGroups: 0,
      parts: [{ bytes: none.bytes.length, rows: 0, rowGroups: 0 }],
    });
  });

  test('count a greatest key that the footer has to hold whole, whichever unit of the row group it comes with', async () => {
    const long = new TextEncoder().encode('\u{10ffff}'.repeat(5000));
    const short = new TextEncoder().encode('x');
    const unit = (max: Uint8Array): ParquetUnit => ({
      rowCount: 1,
      columns: Array.from({ length: LEAVES }, (_, leaf) => ({
        pages: [page(seeded(leaf), 1, 40)],
        ...(leaf === 0 ? { statistics: { nullCount: 0, min: short, max } } : {}),
      })),
    });
    for (const order of [
      [long, short, short],
      [short, long, short],
    ]) {
      const units = order.map(unit);
      const whole = (await lay(units, { rowGroupRows: 20 })).bytes.length;
      expect(whole).toBeGreaterThan(20_000);
      const { laid } = await lay(units, { rowGroupRows: 20, splitBytes: whole - 1 });
      expect(laid.parts?.length).toBeGreaterThan(1);
      for (const { bytes } of laid.parts ?? []) expect(bytes).toBeLessThan(whole);
    }
  });

  test('refuse a footer that none of them holds, even without rows', async () => {
    const { bytes } = await lay([], { rowGroupRows: 20 });
    expect(await problem([], bytes.length)).toBeUndefined();
    expect(await problem([], bytes.length - 1)).toBe(
      `Cannot keep files to the ${bytes.length - 1} bytes of --split-size: one without rows has ${bytes.length} bytes. Give --split-size ${bytes.length} or more.`,
    );
  });

  test('refuse rows that none of them holds, with the least that would do', async () => {
    const random = seeded(11);
    const small = randomUnits(random, 4, 40);
    const rowCount = 3;
    const columns = Array.from({ length: LEAVES }, () => ({
      pages: [{ ...page(random, rowCount, 40), body: new Uint8Array(400_000) }],
    }));
    const units = [...small, { rowCount, columns }];
    const row = small.reduce((sum, unit) => sum + unit.rowCount, 1);
    const said = (await problem(units, 1_500_000)) as string;
    const least = needed(said);
    expect(said).toBe(
      `Cannot keep files to the 1.5 MB of --split-size: the 3 rows from row ${row} on are written together and need a file of ${byteCount(least)}. Give --split-size ${Math.ceil((least * 8) / 7)} or more, or --row-group-size 1.`,
    );
    expect(least).toBeGreaterThan(2_000_000);
    expect(least).toBeLessThan(2_000_000 + 2000);
    expect(needed((await problem(units, least - 1)) as string)).toBe(least);
    expect(await problem(units, least)).toBeUndefined();
  });

  test('refuse a row that is too large by itself, and speak of no row groups', async () => {
    const columns = Array.from({ length: LEAVES }, () => ({ pages: [page(seeded(1), 1, 900)] }));
    expect(await problem([{ rowCount: 1, columns }], 1000)).toMatch(
      /^Cannot keep files to the 1,000 bytes of --split-size: row 1 needs a file of [\d,]+ bytes\. Give --split-size \d+ or more\.$/,
    );
  });
});

describe('byteCount()', () => {
  test('is exact', () => {
    expect([45_000_000, 1_500_000, 1_234_567, 47_185_920, 999_000, 12_345_678_000].map(byteCount)).toEqual([
      '45 MB',
      '1.5 MB',
      '1,234,567 bytes',
      '47,185,920 bytes',
      '999,000 bytes',
      '12,345.678 MB',
    ]);
  });
});
