import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ShardKey } from '../../../../lib/model.ts';
import { PYARROW_MISSING, readWithPyarrow } from '../../../support/foreign-readers.ts';
import { type PointRow, payloadText, shapeWith, sparse, vectorSpec } from '../../../support/point-rows.ts';
import { expectInReaders, schemaFiles, schemaFormat } from '../../../support/schema-files.ts';

let files: Awaited<ReturnType<typeof schemaFiles>>;
beforeAll(async () => {
  files = await schemaFiles();
});
afterAll(() => files.remove());

const POINTS = { schema: 'points' } as const;
const VECTORS = [vectorSpec('dense', '', 2), vectorSpec('sparse', 'bm25')];

function customShape(...shardKeys: readonly ShardKey[]) {
  return shapeWith(VECTORS, { sharding: 'custom', shardKeys });
}

describe('schema points', () => {
  test('has id, payload, the vectors and shard_key, which is NULL without custom sharding', async () => {
    const rows: PointRow[] = [
      { id: '7', payload: { key: '"x"', id: '1' }, vectors: { '': Float32Array.of(1, 2) } },
      { id: '21c7a2f6-4dc1-4b4e-9e0a-8b4b2f8f7a11', vectors: { bm25: sparse([1], [2]) } },
    ];
    const { path, summary } = await files.write(shapeWith(VECTORS), rows, POINTS);
    await expectInReaders(path, {
      id: rows.map(({ id }) => id),
      payload: rows.map(payloadText),
      vector: [Float32Array.of(1, 2), null],
      vector_bm25: [null, sparse([1], [2])],
      shard_key: [null, null],
    });
    expect(summary).toEqual({
      rows: 2,
      rowGroups: 1,
      emptyVectors: { vector: 1, vector_bm25: 1 },
      keys: undefined,
      notes: [],
    });
  });

  test('has the text of the shard key in every row under it', async () => {
    const shape = customShape(
      { kind: 'number', text: '18446744073709551615' },
      { kind: 'keyword', text: 'ключ "a"' },
    );
    const [number, keyword] = shape.shardKeys;
    const rows: PointRow[] = [
      { id: '1', shardKey: number },
      { id: '2', shardKey: number },
      { id: '1', shardKey: keyword },
    ];
    const { path, summary } = await files.write(shape, rows, POINTS);
    await expectInReaders(path, {
      id: ['1', '2', '1'],
      payload: ['{}', '{}', '{}'],
      vector: [null, null, null],
      vector_bm25: [null, null, null],
      shard_key: ['18446744073709551615', '18446744073709551615', 'ключ "a"'],
    });
    expect(summary.notes).toEqual([]);
  });

  test('says which shard keys look the same, where rows lie under both', async () => {
    const shape = customShape(
      { kind: 'number', text: '7' },
      { kind: 'number', text: '8' },
      { kind: 'keyword', text: '7' },
      { kind: 'keyword', text: '8' },
    );
    const [seven, eight, textSeven] = shape.shardKeys;
    const under = (...keys: readonly (ShardKey | undefined)[]) =>
      files.write(
        shape,
        keys.map((shardKey, index) => ({ id: String(index), shardKey })),
        POINTS,
      );
    expect(
      (await under(seven, seven, seven, seven, seven, eight, textSeven, textSeven)).summary.notes,
    ).toEqual([
      'Rows under the shard key 7 (a number) and under "7" (a keyword) look the same in column shard_key.',
    ]);
    expect((await under(seven, eight)).summary.notes).toEqual([]);
    expect((await under(textSeven)).summary.notes).toEqual([]);
  });

  test.skipIf(PYARROW_MISSING !== undefined)('keeps bounds of the ids of each row group', async () => {
    const rows = ['3', '20', '100', '5', '6'].map((id) => ({ id }));
    const { chunks } = await readWithPyarrow((await files.write(shapeWith(VECTORS), rows, POINTS)).path);
    const bounds = chunks.map(([id]) => [id?.statistics?.min, id?.statistics?.max]);
    expect(bounds).toEqual([
      ['100', '5'],
      ['6', '6'],
    ]);
  });

  test('wants no payload field to be pointed out', () => {
    expect(schemaFormat(shapeWith(VECTORS), POINTS).layout.fields).toEqual([]);
  });
});
