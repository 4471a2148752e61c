import { describe, expect, test } from 'bun:test';
import { TextColumn } from '../../../../lib/batch.ts';
import { ToolError } from '../../../../lib/errors.ts';
import { SparseColumn } from '../../../../lib/vector-columns.ts';
import { BufferPool } from '../../../../lib/writers/parquet/buffer-pool.ts';
import { encodeText, encodeVector } from '../../../../lib/writers/parquet/parquet-columns.ts';
import {
  type EncodedPage,
  finishPage,
  PAGE_BYTES,
  type PageOptions,
} from '../../../../lib/writers/parquet/parquet-page.ts';
import { encodeColumn, type TestColumn, textCells, vectorColumn } from '../../../support/parquet-tables.ts';

function options(compression: PageOptions['compression'] = 'none'): PageOptions {
  return { compression, pool: new BufferPool(4, 2 * PAGE_BYTES) };
}

/** Columns of rows of so many bytes each. */
function columnsOf(rows: number, bytes: number): readonly TestColumn[] {
  const floats = (count: number) => new Float32Array(count).fill(0.5);
  const cells = <T>(make: () => T) => Array.from({ length: rows }, make);
  const count = bytes / 4;
  return [
    { kind: 'text', name: 'text', cells: cells(() => 'x'.repeat(bytes)) },
    { kind: 'dense', name: 'dense', size: count, cells: cells(() => floats(count)) },
    {
      kind: 'multi',
      name: 'multi',
      size: count / 4,
      cells: cells(() => Array.from({ length: 4 }, () => floats(count / 4))),
    },
    {
      kind: 'sparse',
      name: 'sparse',
      cells: cells(() => ({ indices: new Uint32Array(count), values: floats(count) })),
    },
  ];
}

function emptied(column: TestColumn): TestColumn {
  return { ...column, cells: column.cells.map(() => null) } as TestColumn;
}

async function pagesOf(column: TestColumn, page = options()): Promise<readonly (readonly EncodedPage[])[]> {
  return (await encodeColumn(column, 'plain', page)).map(({ pages }) => pages);
}

describe('pages', () => {
  for (const column of columnsOf(5000, 1024)) {
    test(`of a ${column.kind} column are cut near 1 MiB at row ends`, async () => {
      for (const pages of await pagesOf(column)) {
        expect(pages.reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(5000);
        expect(pages.length).toBe(5);
        for (const { uncompressedBytes } of pages) expect(uncompressedBytes).toBeLessThan(1.03 * PAGE_BYTES);
        expect(pages.slice(0, -1).map(({ rowCount }) => rowCount)).toEqual([1024, 1024, 1024, 1024]);
      }
    });
  }

  for (const column of columnsOf(3, 2 * PAGE_BYTES)) {
    test(`of a ${column.kind} column hold a row that is larger than they are`, async () => {
      for (const pages of await pagesOf(column)) {
        expect(pages.map(({ rowCount }) => rowCount)).toEqual([1, 1, 1]);
      }
    });
  }

  for (const column of columnsOf(5000, 1024).map(emptied)) {
    test(`of a ${column.kind} column say in a few bytes that all rows are NULL`, async () => {
      for (const pages of await pagesOf(column)) {
        expect(pages.map(({ rowCount, valueCount }) => [rowCount, valueCount])).toEqual([[5000, 5000]]);
        expect(pages[0]?.body.length).toBeLessThan(20);
      }
    });
  }

  test('take no bytes of a NULL text, even where the column has some', async () => {
    const { column } = textCells(['abc', 'def', 'ghi']);
    const { pages, statistics } = await encodeText(
      { column, present: Uint8Array.of(1, 0, 1) },
      3,
      true,
      options(),
    );
    expect(Buffer.from(pages[0]?.body ?? []).includes('abc')).toBe(true);
    expect(Buffer.from(pages[0]?.body ?? []).includes('def')).toBe(false);
    expect(statistics?.nullCount).toBe(1);
  });

  test('have levels by the row and inner vector, not by the float', async () => {
    const [, dense, multi, sparse] = columnsOf(64, 8192) as [TestColumn, TestColumn, TestColumn, TestColumn];
    const overhead = async (column: TestColumn) =>
      (await pagesOf(column)).map((pages) => (pages[0] as EncodedPage).body.length - 64 * 8192);
    // A row's start and its rest are a run each, of 2 and 3 bytes; definition levels are one run a page.
    expect(await overhead(dense)).toEqual([8 + 64 * 5 + 4]);
    expect(await overhead(sparse)).toEqual([8 + 64 * 5 + 4, 8 + 64 * 5 + 4]);
    expect(await overhead(multi)).toEqual([8 + 64 * 4 * 5 + 4]);
  });

  for (const column of [
    ...columnsOf(300, 2000),
    ...columnsOf(1, 40),
    ...columnsOf(1024, 1024).map(emptied),
  ]) {
    test(`of ${column.cells.length} rows of ${column.kind} that wait uncompressed hold at most twice their bytes`, async () => {
      const page = options();
      // Buffers that are idle from larger pages are there to be taken.
      for (let size = PAGE_BYTES / 8; size <= PAGE_BYTES; size *= 2) page.pool.release(new Uint8Array(size));
      for (const pages of await pagesOf(column, page)) {
        for (const { pooled, body } of pages) {
          expect(body.buffer.byteLength).toBeLessThanOrEqual(2 * body.length);
          expect(pooled?.length ?? body.length).toBe(body.buffer.byteLength);
        }
      }
    });
  }

  test('of the same rows are the same bytes whatever the buffers held before', async () => {
    for (const column of columnsOf(100, 512)) {
      const dirty = options('zstd');
      dirty.pool.release(new Uint8Array(128 * 1024).fill(0xff));
      const [clean, other] = await Promise.all([pagesOf(column, options('zstd')), pagesOf(column, dirty)]);
      expect(other.map((pages) => pages.map(({ body }) => body))).toEqual(
        clean.map((pages) => pages.map(({ body }) => body)),
      );
    }
  });
});

describe('finishPage()', () => {
  test('refuses a page that outgrew its buffer, where bytes were dropped', async () => {
    const raw = { buffer: new Uint8Array(10), rowCount: 1, valueCount: 1, encoding: 'PLAIN' } as const;
    await expect(finishPage({ ...raw, length: 11 }, options())).rejects.toThrow('11 bytes in a buffer of 10');
    expect((await finishPage({ ...raw, length: 10 }, options())).body.length).toBe(10);
  });
});

describe('a single row of 2 GiB', () => {
  // The ends alone say so: nothing is copied before they are looked at.
  test('of text is refused, as page sizes would overflow', async () => {
    const column = new TextColumn(2, 8);
    column.ends.set([5, 2 ** 31 - 1]);
    const refused = encodeText({ column, present: undefined }, 2, false, options());
    await expect(refused).rejects.toThrow('whose pages hold less than 2 GiB and a row whole');
    await expect(refused).rejects.toMatchObject({ code: 'format' });
  });

  test('of a multivector is refused', async () => {
    const column = vectorColumn({ kind: 'multi', name: 'm', size: 1, cells: [[]] });
    if (column.kind !== 'multi') throw new Error(column.kind);
    column.ends[0] = 2 ** 29 - 1;
    await expect(encodeVector(column, 1, 'plain', options())).rejects.toThrow(ToolError);
  });

  test('of a sparse vector is refused', async () => {
    const column = new SparseColumn(
      { kind: 'sparse', name: '', size: 0, distance: 'Dot', datatype: 'float32' },
      1,
    );
    column.ends[0] = 2 ** 29 - 1;
    column.present[0] = 1;
    await expect(encodeVector(column, 1, 'plain', options())).rejects.toThrow(ToolError);
  });
});
