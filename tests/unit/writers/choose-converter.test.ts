import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConverterChoice,
  checkRowGroupRows,
  chooseConverter,
} from '../../../lib/writers/choose-converter.ts';
import { CONVERTER_OPTIONS, jobOf, shapeOf, withTexts } from '../../support/conversions.ts';
import { expectColumns } from '../../support/expect-columns.ts';
import { readColumnsWithHyparquet } from '../../support/foreign-readers.ts';
import { writeNdjson } from '../../support/ndjson-data.ts';
import type { TestColumn } from '../../support/parquet-tables.ts';
import { shapeWith, vectorSpec } from '../../support/point-rows.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'choose-converter-'));
});
afterAll(() => rm(folder, { recursive: true }));

const FOUND = { path: '/opt/duckdb', version: '1.5.6', searchPath: '/opt' };
const { exportedAt, rowGroupRows: _, ...SHAPING } = CONVERTER_OPTIONS;
const SMALL = { payloadBytes: 300, raggedVectorBytes: 0 };

interface Chosen {
  readonly choice?: Partial<ConverterChoice>;
  readonly size?: number;
  readonly names?: readonly string[];
  readonly sample?: { readonly payloadBytes: number; readonly raggedVectorBytes: number };
}

function chosen({ choice, size = 128, names = [''], sample = SMALL }: Chosen) {
  const shape = shapeWith(names.map((name) => vectorSpec('dense', name, size)));
  return chooseConverter({ ...SHAPING, found: FOUND, rowGroupRows: undefined, ...choice })(
    shape,
    sample,
    exportedAt,
  );
}

describe('chooseConverter()', () => {
  test('takes DuckDB where it was found', () => {
    expect(chosen({}).description).toBe('DuckDB 1.5.6, at most 256 MB');
  });

  const builtIn: readonly (readonly [Chosen, string])[] = [
    [{ choice: { found: undefined } }, 'DuckDB is not on the PATH'],
    [{ choice: { found: { problem: 'DuckDB 0.9.2 is older than 1.1' } } }, 'DuckDB 0.9.2 is older than 1.1'],
    [{ choice: { splitBytes: 45_000_000 } }, 'DuckDB cannot be told to keep files to 45 MB'],
    [
      { choice: { splitBytes: 45_000_000, found: undefined } },
      'DuckDB cannot be told to keep files to 45 MB',
    ],
    [{ names: ['a', 'A'] }, 'column names differ only in case'],
    [{ choice: { vectorEncoding: 'byte-stream-split' } }, 'DuckDB cannot be told to write byte-stream-split'],
    [{ size: 1536 }, 'rows of 6,484 bytes would take DuckDB more than 300 MB'],
    [
      { sample: { payloadBytes: 50_000, raggedVectorBytes: 0 } },
      'rows of 50,552 bytes would take DuckDB more than 300 MB',
    ],
    [
      { sample: { payloadBytes: 0, raggedVectorBytes: 9_000.5 } },
      'rows of 9,553 bytes would take DuckDB more than 300 MB',
    ],
  ];
  for (const [what, why] of builtIn) {
    test(`takes the built-in converter and says: ${why}`, () => {
      const converter = chosen(what);
      expect(converter.description).toBe(`built-in converter (${why})`);
      expect(converter.rowGroupRows).toBe(10_240);
    });
  }

  test.each([
    [16, 10_240],
    [256, 6144],
    [384, 4096],
    [1024, 2048],
    [1408, 2048],
  ])('bounds the row groups of DuckDB by their bytes: %d dimensions', (size, rows) => {
    expect(chosen({ size }).rowGroupRows).toBe(rows);
  });

  test('keeps to the number of rows that was asked for', () => {
    expect(chosen({ choice: { rowGroupRows: 2048 }, size: 16 }).rowGroupRows).toBe(2048);
    expect(chosen({ choice: { rowGroupRows: 5000 }, size: 16 }).rowGroupRows).toBe(4096);
    expect(chosen({ choice: { rowGroupRows: 7, found: undefined } }).rowGroupRows).toBe(7);
  });

  test('makes files of at most so many bytes where DuckDB is there, in row groups of any number', async () => {
    const vectors = Array.from({ length: 3000 }, (_, row) => Float32Array.of(row, row / 7));
    const columns = withTexts([{ kind: 'dense', name: 'vector', size: 2, cells: vectors }]);
    const choice = { ...SHAPING, found: FOUND, rowGroupRows: 100, splitBytes: 30_000 };
    const converter = chooseConverter(choice)(shapeOf(columns), SMALL, exportedAt);
    expect(converter.rowGroupRows).toBe(100);
    const from = join(folder, 'split.gz');
    const job = jobOf(folder, from, await writeNdjson(from, columns));
    const parts = await converter.convert(job, new AbortController().signal);
    expect(parts?.length).toBeGreaterThan(1);
    expect(parts?.reduce((sum, { rows }) => sum + rows, 0)).toBe(3000);
  });

  test('refuses fewer rows than DuckDB lays', () => {
    expect(() => chosen({ choice: { rowGroupRows: 2047 } })).toThrow('--row-group-size 2047');
  });

  test('leaves a conversion for which DuckDB has not enough memory to the built-in converter', async () => {
    const columns: readonly TestColumn[] = withTexts([
      { kind: 'dense', name: 'vector', size: 2, cells: [Float32Array.of(1, 2), null] },
    ]);
    const path = join(folder, 'duckdb');
    const say = (text: string) => writeFile(path, `#!/bin/sh\necho '${text}' >&2\nexit 1\n`);
    await say('Out of Memory Error: failed to allocate data');
    await chmod(path, 0o755);
    const choice = { ...SHAPING, found: { ...FOUND, path, searchPath: '/bin' }, rowGroupRows: undefined };
    const converter = chooseConverter(choice)(shapeOf(columns), SMALL, exportedAt);
    const from = join(folder, 'data.gz');
    const job = jobOf(folder, from, await writeNdjson(from, columns));
    expect(await converter.convert(job, new AbortController().signal)).toBeUndefined();
    expectColumns(await readColumnsWithHyparquet(job.to), columns);
    await say('Some other Error');
    await expect(converter.convert(job, new AbortController().signal)).rejects.toMatchObject({
      code: 'format',
      message: expect.stringContaining('Some other Error'),
    });
  });
});

describe('checkRowGroupRows()', () => {
  const check = (choice: Partial<ConverterChoice>) => () =>
    checkRowGroupRows({
      found: FOUND,
      rowGroupRows: 2047,
      splitBytes: undefined,
      vectorEncoding: 'plain',
      ...choice,
    });

  test('names the flag, the strategy and the least number', () => {
    const refused = check({});
    for (const part of ['--row-group-size 2047', '--strategy ndjson-gz', '2,048'])
      expect(refused).toThrow(part);
    expect(refused).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  test('takes what DuckDB lays, and anything where DuckDB does not do it', () => {
    for (const choice of [
      { rowGroupRows: 2048 },
      { rowGroupRows: undefined },
      { found: undefined },
      { found: { problem: 'old' } },
      { vectorEncoding: 'byte-stream-split' as const },
      { splitBytes: 45_000_000 },
    ]) {
      expect(check(choice)).not.toThrow();
    }
  });
});
