import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readNdjson } from '../../../../lib/writers/ndjson/ndjson-reader.ts';
import type { Cells, SchemaColumn } from '../../../../lib/writers/schema/schema.ts';
import { gzipMembers } from '../../../support/ndjson-data.ts';
import { vectorSpec } from '../../../support/point-rows.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ndjson-reader-'));
});
afterAll(() => rm(folder, { recursive: true }));

const TEXT: SchemaColumn = { kind: 'text', name: 'key', bounds: true };
const DENSE: SchemaColumn = { kind: 'vector', name: 'vector', spec: vectorSpec('dense', '', 2) };
const MULTI: SchemaColumn = { kind: 'vector', name: 'vector_m', spec: vectorSpec('multi', 'm', 2) };
const SPARSE: SchemaColumn = { kind: 'vector', name: 'vector_s', spec: vectorSpec('sparse', 's') };

async function fileOf(bytes: Uint8Array): Promise<string> {
  const path = join(folder, `${Bun.randomUUIDv7()}.gz`);
  await writeFile(path, bytes);
  return path;
}

/** The rows of a file, batch by batch. */
async function batchesOf(
  bytes: Uint8Array,
  columns: readonly SchemaColumn[],
  groupRows = 10_240,
): Promise<unknown[][][]> {
  const batches: unknown[][][] = [];
  for await (const batch of readNdjson(await fileOf(bytes), columns, groupRows)) {
    batches.push(
      Array.from({ length: batch.rows }, (_, row) => batch.columns.map((cells) => cellOf(cells, row))),
    );
  }
  return batches;
}

/** The only cell of the only column of one line. */
async function readOne(column: SchemaColumn, cell: string | Uint8Array): Promise<unknown> {
  const line = Buffer.concat([Buffer.from(`{"${column.name}":`), Buffer.from(cell), Buffer.from('}\n')]);
  return (await batchesOf(Bun.gzipSync(line), [column])).flat(2)[0];
}

function cellOf(cells: Cells, row: number): unknown {
  if (cells.present?.[row] === 0) return null;
  switch (cells.kind) {
    case 'text': {
      const { bytes } = cells.column;
      return Buffer.from(bytes.subarray(cells.column.start(row), cells.column.end(row))).toString();
    }
    case 'dense':
      return [...cells.values.subarray(row * cells.spec.size, (row + 1) * cells.spec.size)];
    case 'multi':
      return [...cells.values.subarray(row === 0 ? 0 : cells.ends[row - 1], cells.ends[row])];
    case 'sparse': {
      const range = [row === 0 ? 0 : cells.ends[row - 1], cells.ends[row]] as const;
      return { indices: [...cells.indices.subarray(...range)], values: [...cells.values.subarray(...range)] };
    }
  }
}

describe('cells', () => {
  test.each([
    ['""', ''],
    ['null', null],
    ['"null"', 'null'],
    [String.raw`"\"\\\b\t\n\f\r\u0000\u001f\u007F"`, '"\\\b\t\n\f\r\0\x1f\x7f'],
    ['"é文😀"', 'é文😀'],
  ])('a text of %s is read', async (text, value) => {
    expect(await readOne(TEXT, text)).toBe(value);
  });

  test.each([
    ['[1,-0.0]', [1, -0]],
    ['[1e-45,-3.4028234663852886e38]', [1.401298464324817e-45, -3.4028234663852886e38]],
    ['["NaN",1.5]', [Number.NaN, 1.5]],
    ['[0.1,"-Infinity"]', [Math.fround(0.1), -Infinity]],
    ['["Infinity","NaN"]', [Infinity, Number.NaN]],
    ['null', null],
  ])('a dense vector of %s is read', async (text, value) => {
    expect(await readOne(DENSE, text)).toEqual(value);
  });

  test.each([
    ['[]', []],
    ['[[1,2]]', [1, 2]],
    ['[[1,"NaN"],[3,4]]', [1, Number.NaN, 3, 4]],
    ['null', null],
  ])('a multivector of %s is read', async (text, value) => {
    expect(await readOne(MULTI, text)).toEqual(value);
  });

  test.each([
    ['{"indices":[],"values":[]}', { indices: [], values: [] }],
    [
      '{"indices":[4294967295,0],"values":["NaN",-2]}',
      { indices: [4294967295, 0], values: [Number.NaN, -2] },
    ],
    ['null', null],
  ])('a sparse vector of %s is read', async (text, value) => {
    expect(await readOne(SPARSE, text)).toEqual(value);
  });

  const misfits: readonly (readonly [SchemaColumn, string])[] = [
    ...['1', '"a', '"\\x"', '"\\u00e9"', '"\\u2028"', '"\t"', 'nul', 'true', '"a""b"', ' "a"'].map(
      (text) => [TEXT, text] as const,
    ),
    ...[
      '[1]',
      '[1,2,3]',
      '[1,2',
      '[1,]',
      '[1,null]',
      '[1,"nan"]',
      '[1,1e39]',
      '[1,2]]',
      '[01,2]',
      '{}',
      '[[1,2]]',
    ].map((text) => [DENSE, text] as const),
    ...['[1,2]', '[[1]]', '[[1,2],]', '[[1,2][3,4]]', '[[]]', '[[1,2]'].map((text) => [MULTI, text] as const),
    ...[
      '{"indices":[1],"values":[]}',
      '{"indices":[],"values":[1]}',
      '{"indices":[1,2],"values":[1]}',
      '{"indices":[1],"values":[1,2]}',
      '{"indices":[4294967296],"values":[1]}',
      '{"indices":[-1],"values":[1]}',
      '{"indices":[01],"values":[1]}',
      '{"indices":[1],"values":[1]',
      '{"values":[1],"indices":[1]}',
      '[]',
    ].map((text) => [SPARSE, text] as const),
  ];
  for (const [column, text] of misfits) {
    test(`column ${column.name} refuses ${text}`, async () => {
      await expect(readOne(column, text)).rejects.toMatchObject({
        code: 'format',
        message: expect.stringMatching(/line 1 is not as this export writes it/),
      });
    });
  }

  test('a text that is not UTF-8 is refused', async () => {
    await expect(readOne(TEXT, new Uint8Array([0x22, 0xff, 0x22]))).rejects.toMatchObject({
      code: 'format',
      message: expect.stringContaining('line 1 is not as this export writes it, it is not UTF-8'),
    });
  });
});

describe('lines', () => {
  const line = (key: string) => `{"key":${JSON.stringify(key)}}\n`;
  const keys = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`);

  test('come in batches of 1,024, however many lie in a member', async () => {
    const found = await Promise.all(
      [1, 1000, 5000].map((member) => batchesOf(gzipMembers(keys(2500).map(line), member), [TEXT])),
    );
    for (const batches of found) {
      expect(batches.map((batch) => batch.length)).toEqual([1024, 1024, 452]);
      expect(batches.flat(2)).toEqual(keys(2500));
    }
  });

  test('may lie across any bytes of the streams that they come from', async () => {
    const texts = keys(4000).map((key, row) => key + 'x'.repeat((row * 7919) % 1500));
    const batches = await batchesOf(gzipMembers(texts.map(line), 333), [TEXT]);
    expect(batches.flat(2)).toEqual(texts);
  });

  test('end a batch with the row that brings it to 4 MiB', async () => {
    const long = 'x'.repeat(3 * 1024 * 1024);
    const lines = [long, long, long, 'a', long.repeat(4), 'b', 'c'].map(line);
    const batches = await batchesOf(gzipMembers(lines, 3), [TEXT]);
    expect(batches.map((batch) => batch.map(([key]) => (key as string).length))).toEqual([
      [long.length, long.length],
      [long.length, 1, 4 * long.length],
      [1, 1],
    ]);
  });

  test('come in the same batches however their floats are spelled', async () => {
    const wide: SchemaColumn = { kind: 'vector', name: 'vector', spec: vectorSpec('dense', '', 1024) };
    const rows = (float: string) =>
      keys(1500).map((key) => `{"key":"${key}","vector":[${Array(1024).fill(float)}]}\n`);
    const [short, long] = await Promise.all(
      ['0.5', '0.50000000000000000'].map((float) => batchesOf(gzipMembers(rows(float), 400), [TEXT, wide])),
    );
    expect(long).toEqual(short as unknown[][][]);
    expect(short?.length).toBeGreaterThan(1);
  });

  test.each([
    [300, [300, 300, 300, 100]],
    [1000, [1000]],
    [1500, [750, 250]],
  ])('come in batches of which %d rows are a whole number', async (groupRows, sizes) => {
    const batches = await batchesOf(gzipMembers(keys(1000).map(line), 400), [TEXT], groupRows);
    expect(batches.map((batch) => batch.length)).toEqual(sizes);
  });

  test('leave nothing of a batch in the next one', async () => {
    const row = (vectors: string) => `{"key":"x","vector":${vectors}}\n`;
    const lines = [...keys(1024).map(() => row('[1,2]')), row('null')];
    expect((await batchesOf(gzipMembers(lines, 100), [TEXT, DENSE])).at(-1)).toEqual([['x', null]]);
  });

  test('are none in a file of empty members', async () => {
    expect(await batchesOf(gzipMembers([], 1), [TEXT])).toEqual([]);
  });

  test.each([
    ['other columns', '{"id":"a"}\n', 'column "key" does not fit at byte 3 of 10'],
    ['more columns', '{"key":"a","x":1}\n', 'something follows its last column at byte 11 of 17'],
    ['fewer columns', '{}\n', 'column "key" does not fit at byte 2 of 2'],
    ['bytes behind the object', '{"key":"a"}}\n', 'something follows its last column at byte 11 of 12'],
    ['white space', '{"key": "a"}\n', 'column "key" does not fit at byte 8 of 12'],
    ['nothing in them', '\n', 'column "key" does not fit'],
    ['no line feed', '{"key":"a"}', 'it does not end'],
  ])('of %s are refused by their number', async (_, bad, found) => {
    const lines = [...keys(1030).map(line), bad];
    await expect(batchesOf(gzipMembers(lines, 100), [TEXT])).rejects.toMatchObject({
      code: 'format',
      message: expect.stringContaining(`line 1,031 is not as this export writes it, ${found}`),
    });
  });
});

describe('damaged files', () => {
  const whole = gzipMembers(
    Array.from({ length: 300 }, (_, row) => `{"key":"${row * 7919}"}\n`),
    100,
  );
  const damaged = { code: 'integrity', message: expect.stringContaining('it is damaged or cut off') };

  test('are refused when they are cut off within a member', async () => {
    for (const length of [0, 1, 5, 40, whole.length - 40, whole.length - 8, whole.length - 1]) {
      await expect(batchesOf(whole.slice(0, length), [TEXT])).rejects.toMatchObject(damaged);
    }
  });

  test('are refused when a bit of a checksum or of what it is for is another one', async () => {
    for (const at of [whole.length - 6, whole.length - 40, 60]) {
      const flipped = new Uint8Array(whole);
      flipped[at] = (flipped[at] as number) ^ 4;
      await expect(batchesOf(flipped, [TEXT])).rejects.toMatchObject({ code: 'integrity' });
    }
  });

  test('are refused when something else follows', async () => {
    const longer = new Uint8Array(Buffer.concat([whole, Buffer.from('garbage')]));
    await expect(batchesOf(longer, [TEXT])).rejects.toMatchObject(damaged);
  });

  test('that are not there are named', async () => {
    const batches = readNdjson(join(folder, 'none.gz'), [TEXT], 10_240);
    await expect(batches.next()).rejects.toMatchObject({
      code: 'store',
      message: expect.stringContaining('none.gz'),
    });
  });
});
