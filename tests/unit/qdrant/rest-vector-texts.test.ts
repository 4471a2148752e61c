import { describe, expect, test } from 'bun:test';
import { PointBatch } from '../../../lib/batch.ts';
import type { VectorSpec } from '../../../lib/model.ts';
import { readRetrieved, readScrolled } from '../../../lib/qdrant/rest-reader.ts';
import { errorOf, rowsOf, specOf } from './batch-rows.ts';
import { POINTS, recordedShape, restBody, VERSIONS } from './grpc-recordings.ts';

const dense = specOf('dense', 'd', 2);
const multi = specOf('multi', 'm', 2);
const sparse = specOf('sparse', 's', 0);

function answerOf(...vectors: readonly string[]): Uint8Array {
  const points = vectors.map((vector, i) => `{"id":${i + 1},"payload":{},"vector":${vector}}`);
  return new TextEncoder().encode(`{"result":[${points.join()}],"status":"ok","time":0.1}`);
}

function emptyBatch(vectors: readonly VectorSpec[], vectorTexts = true): PointBatch {
  return new PointBatch({ rows: 10, vectors, fields: [], vectorTexts });
}

function read(vectors: readonly VectorSpec[], ...points: readonly string[]): PointBatch {
  const batch = emptyBatch(vectors);
  readRetrieved(answerOf(...points), batch, points.length);
  return batch;
}

/** The texts that were kept of each row, by column; empty where none was. */
function textsOf(batch: PointBatch): readonly (readonly string[] | undefined)[] {
  return batch.vectors.map((column) => {
    if (column.kind === 'sparse' || column.texts === undefined) return undefined;
    const { bytes, ends } = column.texts;
    return batch.ids.map((_, row) =>
      Buffer.from(bytes.subarray(row === 0 ? 0 : ends[row - 1], ends[row])).toString(),
    );
  });
}

describe('a batch that wants texts of vectors', () => {
  test('gets them as the server sent them, and the floats as well', () => {
    const batch = read(
      [dense, multi, sparse],
      '{"d":[0.1,-2.5e-05],"m":[[0.099975586,1],[-0.0,7]],"s":{"indices":[1],"values":[0.5]}}',
      '{"m":[],"d":[16777216,0.33333334]}',
      '{}',
      '{"d":null,"m":[[1.0,2.0]]}',
    );
    expect(textsOf(batch)).toEqual([
      ['[0.1,-2.5e-05]', '[16777216,0.33333334]', '', ''],
      ['[[0.099975586,1],[-0.0,7]]', '[]', '', '[[1.0,2.0]]'],
      undefined,
    ]);
    expect(rowsOf(batch).map(({ vectors }) => vectors.d)).toEqual([
      [Math.fround(0.1), Math.fround(-2.5e-5)],
      [16777216, Math.fround(0.33333334)],
      null,
      null,
    ]);
  });

  test('gets that of an unnamed vector', () => {
    expect(textsOf(read([specOf('dense', '', 3)], '[1.0,2.0,3.0]'))).toEqual([['[1.0,2.0,3.0]']]);
  });

  test.each([
    '{"d":[ 0.5,1]}',
    '{"d":[0.5, 1]}',
    '{"d":[0.5 ,1]}',
    '{"d":[0.5,1\n]}',
    '{"d":[0.5,-0]}',
    '{"d":[0.5,1.000000059604644775390625000001]}',
  ])('gets none that a line cannot carry or a reader could take for another vector: %s', (vector) => {
    const batch = read([dense], vector, '{"d":[3.0,4.0]}');
    expect(textsOf(batch)).toEqual([['', '[3.0,4.0]']]);
    expect(batch.vectors[0]?.present.subarray(0, 2)).toEqual(Uint8Array.of(1, 1));
  });

  test.each([
    '[ [1,2]]',
    '[[1,2] ]',
    '[[1,2] ,[3,4]]',
    '[[1,2],\t[3,4]]',
    '[[1,2],[3, 4]]',
    '[ ]',
    '[[1,2],[-0,4]]',
  ])('gets none of a multivector like that either: %s', (vector) => {
    expect(textsOf(read([multi], `{"m":${vector}}`, '{"m":[[5,6]]}'))).toEqual([['', '[[5,6]]']]);
  });

  test('takes white space before a vector for no part of it', () => {
    expect(textsOf(read([dense, multi], '{"d" : [1,2], "m" :\n[[1,2]] }'))).toEqual([['[1,2]'], ['[[1,2]]']]);
  });

  test('is left with the texts it had when an answer turns out wrong', () => {
    const batch = read([dense, multi], '{"d":[1,2],"m":[[1,2]]}');
    const broken = answerOf('{"d":[3,4],"m":[[3,4]]}', '{"d":[5,6],"m":[[5,6],[7]]}');
    expect(errorOf(() => readRetrieved(broken, batch, 2)).code).toBe('integrity');
    readRetrieved(answerOf('{"m":[[8,9]]}'), batch, 1);
    expect(textsOf(batch)).toEqual([
      ['[1,2]', ''],
      ['[[1,2]]', '[[8,9]]'],
    ]);
  });
});

test('a batch that does not want texts of vectors gets none', () => {
  const batch = emptyBatch([dense], false);
  readRetrieved(answerOf('{"d":[1,2]}'), batch, 1);
  expect(textsOf(batch)).toEqual([undefined]);
});

describe('recorded servers', () => {
  for (const version of VERSIONS) {
    test(`of version ${version} send texts that are kept for every dense vector and multivector`, () => {
      let kept = 0;
      for (const { name, kind, collection } of POINTS.filter((exchange) => exchange.version === version)) {
        const body = restBody(version, name);
        if (body === undefined || kind !== 'scroll' || !name.startsWith('scroll everything')) continue;
        const { vectors } = recordedShape(version, collection);
        const batch = new PointBatch({ rows: 100, vectors, fields: [], vectorTexts: true });
        readScrolled(new TextEncoder().encode(body), batch, 100);
        const rows = rowsOf(batch);
        for (const [index, column] of textsOf(batch).entries()) {
          for (const [row, text] of (column ?? []).entries()) {
            const value = rows[row]?.vectors[vectors[index]?.name ?? ''] ?? null;
            if (value === null) {
              expect(text).toBe('');
              continue;
            }
            expect(body).toContain(text);
            const numbers = (list: unknown): unknown =>
              Array.isArray(list) ? list.map(numbers) : Math.fround(list as number);
            expect(numbers(JSON.parse(text))).toEqual(value);
            kept++;
          }
        }
      }
      expect(kept).toBeGreaterThan(20);
    });
  }
});
