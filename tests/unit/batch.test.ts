import { describe, expect, test } from 'bun:test';
import { PointBatch, TextColumn } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import { type VectorTexts, vectorColumn } from '../../lib/vector-columns.ts';
import { vectorSpec } from '../support/point-rows.ts';

describe('TextColumn', () => {
  test('refuses more bytes than its ends can say, rather than letting them wrap', () => {
    const column = new TextColumn(1, 16);
    // As if so many had been written.
    column.length = 2 ** 31 - 8;
    expect(() => column.reserve(8)).toThrow(ToolError);
  });
});

const VECTORS = [vectorSpec('dense', '', 2), vectorSpec('multi', 'm', 2), vectorSpec('sparse', 's')];

function batchWithTexts(): PointBatch {
  return new PointBatch({ rows: 3, vectors: VECTORS, fields: [], vectorTexts: true });
}

/** Of the dense vector and the multivector. */
function textsOf(batch: PointBatch): readonly VectorTexts[] {
  return batch.vectors.flatMap((column) =>
    column.kind === 'sparse' || column.texts === undefined ? [] : [column.texts],
  );
}

function append(texts: VectorTexts | undefined, text: string): void {
  const bytes = new TextEncoder().encode(`>>${text}<<`);
  texts?.append(bytes, 2, bytes.length - 2);
}

function rowsOf({ bytes, ends }: VectorTexts, rows: number): readonly string[] {
  return Array.from({ length: rows }, (_, row) =>
    Buffer.from(bytes.subarray(row === 0 ? 0 : ends[row - 1], ends[row])).toString(),
  );
}

describe('PointBatch with texts of vectors', () => {
  test('keeps them by row, none where a row has none', () => {
    const batch = batchWithTexts();
    const [dense, multi] = textsOf(batch);
    append(dense, '[1,2]');
    batch.endRow('1');
    append(multi, '[[1,2]]');
    batch.endRow('2');
    append(dense, '[3,4.5]');
    append(multi, '[]');
    batch.endRow('3');
    expect(textsOf(batch).map((texts) => rowsOf(texts, 3))).toEqual([
      ['[1,2]', '', '[3,4.5]'],
      ['', '[[1,2]]', '[]'],
    ]);
  });

  test('forgets those of rows that are taken back, and of one that was not ended', () => {
    const batch = batchWithTexts();
    const [dense, multi] = textsOf(batch);
    append(dense, '[1,2]');
    batch.endRow('1');
    append(dense, '[3,4]');
    append(multi, '[[3,4]]');
    batch.endRow('2');
    append(dense, '[5,6]');
    append(multi, '[[5,6]]');
    batch.truncate(1);
    batch.endRow('2');
    append(multi, '[[7,8]]');
    batch.endRow('3');
    expect(textsOf(batch).map((texts) => rowsOf(texts, 3))).toEqual([
      ['[1,2]', '', ''],
      ['', '', '[[7,8]]'],
    ]);
    batch.reset();
    batch.endRow('1');
    expect(textsOf(batch).map((texts) => rowsOf(texts, 1))).toEqual([[''], ['']]);
  });

  test('counts them, while a column tells its own bytes alone', () => {
    const batch = batchWithTexts();
    const before = batch.byteLength;
    append(textsOf(batch)[0], '[1,2]');
    append(textsOf(batch)[1], '[[1,2]]');
    batch.endRow('1');
    const own = batch.vectors.reduce((sum, column) => sum + column.byteLength(1), 0);
    expect([before, own, batch.byteLength]).toEqual([0, 8, 8 + 5 + 7]);
    expect(batch.vectors.map((column) => column.byteLength(1))).toEqual([8, 0, 0]);
  });

  test('takes no memory for texts before the first one comes', () => {
    expect(textsOf(batchWithTexts()).map(({ bytes }) => bytes.length)).toEqual([0, 0]);
  });

  test('has room for none unless they are wanted', () => {
    expect(textsOf(new PointBatch({ rows: 3, vectors: VECTORS, fields: [] }))).toEqual([]);
    expect(vectorColumn(vectorSpec('dense', '', 2), 3)).toMatchObject({ texts: undefined });
  });

  test('refuses more bytes of them than their ends can say', () => {
    const [dense] = textsOf(batchWithTexts());
    // As if so many had been written.
    Object.assign(dense as VectorTexts, { length: 2 ** 31 - 3 });
    expect(() => append(dense, '[1,2]')).toThrow('more than 2 GiB');
  });
});
