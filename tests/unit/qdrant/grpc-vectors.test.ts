import { describe, expect, test } from 'bun:test';
import type { PointBatch } from '../../../lib/batch.ts';
import type { VectorColumn } from '../../../lib/vector-columns.ts';
import {
  bytesField,
  packedFloats,
  packedVarints,
  varintField,
} from '../../support/qdrant-double/protobuf.ts';
import { errorOf, rowsOf, specOf } from './batch-rows.ts';
import {
  bare,
  batchOf,
  named,
  numbered,
  point,
  read,
  singleFloats,
  unnamed,
  vectorOf,
} from './grpc-fields.ts';

/** Bits that arithmetic would not keep: two NaNs with payloads, one of them signalling; -0; a denormal; infinity. */
const ODD = new Float32Array(
  Uint32Array.of(0x7fc12345, 0xff800001, 0x80000000, 0x00000001, 0x7f800000).buffer,
);

function floats(...values: readonly number[]): Float32Array {
  return Float32Array.from(values);
}

/** The two generations of a vector's fields, and within them packed and single numbers. */
const DENSE_FORMS = {
  'unpacked `data`, as 1.16 writes it': (values: Float32Array) => singleFloats(1, values),
  'packed `data`': (values: Float32Array) => packedFloats(1, values),
  '`data` in two pieces': (values: Float32Array) =>
    Buffer.concat([singleFloats(1, values.slice(0, 2)), packedFloats(1, values.slice(2))]),
  '`dense`, as 1.17 and later write it': (values: Float32Array) => bytesField(101, packedFloats(1, values)),
  'unpacked `dense`': (values: Float32Array) => bytesField(101, singleFloats(1, values)),
} as const;

type Rows = readonly Float32Array[];

const MULTI_FORMS = {
  'flat `data`, as 1.16 writes it': (rows: Rows) =>
    Buffer.concat([...rows.map((row) => singleFloats(1, row)), varintField(3, rows.length)]),
  'packed flat `data`, its number of vectors first': (rows: Rows) =>
    Buffer.concat([varintField(3, rows.length), ...rows.map((row) => packedFloats(1, row))]),
  '`multi_dense`, as 1.17 and later write it': (rows: Rows) =>
    bytesField(103, ...rows.map((row) => bytesField(1, packedFloats(1, row)))),
  'unpacked `multi_dense`': (rows: Rows) =>
    bytesField(103, ...rows.map((row) => bytesField(1, singleFloats(1, row)))),
} as const;

const unpackedVarints = (field: number, values: readonly number[]) =>
  Buffer.concat(values.map((value) => varintField(field, value)));

const SPARSE_FORMS = {
  '`data` and `indices`, as 1.16 writes them': (indices: readonly number[], values: Float32Array) =>
    Buffer.concat([singleFloats(1, values), bytesField(2, packedVarints(1, indices))]),
  'single `indices` before packed `data`': (indices: readonly number[], values: Float32Array) =>
    Buffer.concat([bytesField(2, unpackedVarints(1, indices)), packedFloats(1, values)]),
  '`sparse`, as 1.17 and later write it': (indices: readonly number[], values: Float32Array) =>
    bytesField(102, packedFloats(1, values), packedVarints(2, indices)),
  'unpacked `sparse`, its indices first': (indices: readonly number[], values: Float32Array) =>
    bytesField(102, unpackedVarints(2, indices), singleFloats(1, values)),
} as const;

function only(batch: PointBatch): VectorColumn {
  expect(batch.vectors).toHaveLength(1);
  return batch.vectors[0] as VectorColumn;
}

function bitsOf(values: Float32Array, length: number): readonly number[] {
  return [...new Uint32Array(values.buffer, 0, length)];
}

const ODD_BITS = bitsOf(ODD, ODD.length);

describe('dense vectors', () => {
  test.each(Object.entries(DENSE_FORMS))('are read from %s, bit for bit', (_, form) => {
    const batch = read(point(unnamed(form(ODD))), batchOf([specOf('dense', '', ODD.length)]));
    expect(only(batch).present[0]).toBe(1);
    expect(bitsOf(only(batch).values, ODD.length)).toEqual(ODD_BITS);
  });

  test('are NULL in points that lack them, also where an earlier batch had one', () => {
    const batch = read(point(unnamed(DENSE_FORMS['packed `data`'](ODD))), batchOf([specOf('dense', '', 5)]));
    batch.reset();
    expect(only(read(point(), batch)).present[0]).toBe(0);
    batch.reset();
    // What a server sends for a point without any vector: a map without entries.
    expect(only(read(point(named()), batch)).present[0]).toBe(0);
  });

  for (const [what, form] of Object.entries(DENSE_FORMS)) {
    test.each([0, 1, 3, 5, 9])(`of %d dimensions where 4 are declared are refused in ${what}`, (size) => {
      const batch = batchOf([specOf('dense', '', 4)], 2);
      only(batch).values.fill(9);
      const error = errorOf(() => read(point(unnamed(form(new Float32Array(size).fill(1)))), batch));
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(
        `Cannot read point 7: its vector is of ${size} dimensions where the collection has 4.`,
      );
      expect(batch.rowCount).toBe(0);
      // Nothing is written beyond the row.
      expect([...only(batch).values.subarray(4)]).toEqual([9, 9, 9, 9]);
    });
  }

  test('count by the newer form where a server sends both', () => {
    const both = Buffer.concat([
      singleFloats(1, floats(1, 2)),
      bytesField(101, packedFloats(1, floats(3, 4))),
    ]);
    expect(rowsOf(read(point(unnamed(both)), batchOf([specOf('dense', '', 2)])))[0]?.vectors).toEqual({
      '': [3, 4],
    });
  });

  test.each([
    ['packed ones', bytesField(1, new Uint8Array(9))],
    ['single ones', singleFloats(1, floats(1, 2)).subarray(0, -1)],
  ])('are refused when their bytes end within a float: %s', (_, broken) => {
    const after = point();
    const error = errorOf(() =>
      read(Buffer.concat([point(unnamed(broken)), after]), batchOf([specOf('dense', '', 2)])),
    );
    expect(error.message).toContain('malformed');
  });
});

describe('multivectors', () => {
  const ROWS = [floats(1, 2), floats(-3.5, 0.25), floats(5, 6)];

  test.each(Object.entries(MULTI_FORMS))('are read from %s, bit for bit', (_, form) => {
    const odd = [ODD.slice(0, 2), ODD.slice(2, 4), ODD.slice(3, 5)];
    const batch = read(
      Buffer.concat([point(unnamed(form(ROWS))), point(), point(unnamed(form(odd)))]),
      batchOf([specOf('multi', '', 2)]),
    );
    expect(rowsOf(batch).map(({ vectors }) => vectors[''])[0]).toEqual(ROWS.map((row) => [...row]));
    const column = only(batch);
    expect([...column.present.subarray(0, 3)]).toEqual([1, 0, 1]);
    const bits = [...new Uint32Array(column.values.buffer, 6 * 4, 6)];
    expect(bits).toEqual(odd.flatMap((row) => bitsOf(row, 2)));
  });

  test.each(Object.entries(MULTI_FORMS))('without a vector in them are there, in %s', (_, form) => {
    const batch = read(point(unnamed(form([]))), batchOf([specOf('multi', '', 2)]));
    expect(rowsOf(batch)[0]?.vectors).toEqual({ '': [] });
  });

  test.each(Object.entries(MULTI_FORMS))('grow their column as they need, in %s', (_, form) => {
    const many = Array.from({ length: 5_000 }, (_unused, row) => floats(row, -row));
    const batch = batchOf([specOf('multi', '', 2)], 1);
    read(point(unnamed(form(many))), batch);
    expect(rowsOf(batch)[0]?.vectors['']).toEqual(many.map((row) => [...row]));
    // A float takes 4 or 5 bytes of an answer, and buffers may double.
    expect(only(batch).values.byteLength).toBeLessThanOrEqual(2 * 5 * 10_000);
  });

  test.each([
    ['a vector too short', 'multi_dense', MULTI_FORMS['unpacked `multi_dense`']([floats(1, 2), floats(3)])],
    ['a vector too long', 'multi_dense', MULTI_FORMS['unpacked `multi_dense`']([floats(1, 2, 3)])],
    ['vectors without a number', 'multi_dense', bytesField(103, bytesField(1))],
    [
      'vectors of another size',
      'data',
      MULTI_FORMS['flat `data`, as 1.16 writes it']([floats(1), floats(2)]),
    ],
  ])('with %s are refused in `%s`', (_, _form, vector) => {
    const batch = batchOf([specOf('multi', '', 2)]);
    const error = errorOf(() => read(point(unnamed(vector)), batch));
    expect(error.code).toBe('integrity');
    expect(error.message).toMatch(
      /^Cannot read point 7: its vector is of [013] dimensions where the collection has 2\.$/,
    );
    expect(batch.rowCount).toBe(0);
  });

  test('that cannot be cut into as many vectors as the server says are refused', () => {
    const uneven = Buffer.concat([packedFloats(1, floats(1, 2, 3, 4)), varintField(3, 3)]);
    const error = errorOf(() => read(point(unnamed(uneven)), batchOf([specOf('multi', '', 2)])));
    expect(error.code).toBe('integrity');
    expect(error.message).toContain('has 4 floats, which cannot be cut into 3 vectors of 2');
    const hollow = Buffer.concat([packedFloats(1, floats(1, 2)), varintField(3, 0)]);
    expect(() => read(point(unnamed(hollow)), batchOf([specOf('multi', '', 2)]))).toThrow('into 0 vectors');
  });
});

describe('sparse vectors', () => {
  const SPEC = specOf('sparse', 's', 0);
  const INDICES = [7, 1, 4_294_967_295, 0, 300];

  test.each(Object.entries(SPARSE_FORMS))('are read from %s, in their order and bit for bit', (_, form) => {
    const batch = read(
      Buffer.concat([
        point(named(vectorOf('s', form([3], floats(1))))),
        point(named()),
        point(named(vectorOf('s', form(INDICES, ODD)))),
      ]),
      batchOf([SPEC]),
    );
    const column = only(batch);
    if (column.kind !== 'sparse') throw new Error('kind');
    expect([...column.ends.subarray(0, 3)]).toEqual([1, 1, 6]);
    expect([...column.indices.subarray(0, 6)]).toEqual([3, ...INDICES]);
    expect([...new Uint32Array(column.values.buffer, 4, 5)]).toEqual([...ODD_BITS]);
  });

  test.each(Object.entries(SPARSE_FORMS))('without elements are there, in %s', (_, form) => {
    const batch = read(
      Buffer.concat([point(named(vectorOf('s', form([], floats())))), point(named())]),
      batchOf([SPEC]),
    );
    expect(rowsOf(batch).map(({ vectors }) => vectors)).toEqual([
      { s: { indices: [], values: [] } },
      { s: null },
    ]);
  });

  test.each(Object.entries(SPARSE_FORMS))('grow their column as they need, in %s', (_, form) => {
    const indices = Array.from({ length: 5_000 }, (_unused, at) => at * 800_000);
    const values = Float32Array.from(indices, (index) => -index);
    const batch = batchOf([SPEC], 2);
    const both = [form([9], floats(9)), form(indices, values)];
    read(Buffer.concat(both.map((vector) => point(named(vectorOf('s', vector))))), batch);
    expect(rowsOf(batch).map(({ vectors }) => vectors)).toEqual([
      { s: { indices: [9], values: [9] } },
      { s: { indices, values: [...values] } },
    ]);
  });

  for (const [what, form] of Object.entries(SPARSE_FORMS)) {
    test.each([
      [[1, 2, 3], floats(1, 2)],
      [[1], floats(1, 2)],
      [[], floats(1)],
      [[1], floats()],
      [Array.from({ length: 300 }, (_unused, at) => at), floats(1)],
    ] as [number[], Float32Array][])(
      `with %j for indices are refused with other counts of values in ${what}`,
      (indices, values) => {
        const batch = batchOf([SPEC]);
        const error = errorOf(() => read(point(named(vectorOf('s', form(indices, values)))), batch));
        expect(error.code).toBe('integrity');
        expect(error.message).toBe(
          `Cannot read point 7: its vector \`s\` has ${indices.length} indices and ${values.length} values.`,
        );
        expect(batch.rowCount).toBe(0);
        const column = only(batch);
        expect(column.kind === 'sparse' && column.length).toBe(0);
      },
    );
  }

  test.each([
    ['is above 32 bits', [0x12, 5, 128, 128, 128, 128, 16]],
    ['runs over the end of its list', [0x12, 1, 0x80, 1]],
    ['has no end', [0x12, 1, 0x80]],
    ['is no varint', [0x15, 1, 0, 0]],
  ])('with an index that %s are refused', (_, indices) => {
    const broken = bytesField(102, packedFloats(1, floats(1)), Buffer.from(indices));
    const error = errorOf(() => read(point(named(vectorOf('s', broken))), batchOf([SPEC])));
    expect(error.message).toContain('malformed');
  });
});

describe('vectors of another kind than declared', () => {
  const FORMS = {
    'a dense one': Object.values(DENSE_FORMS).map((form) => form(floats(1, 2))),
    'a multivector': Object.values(MULTI_FORMS).map((form) => form([floats(1, 2)])),
    'a sparse one': Object.values(SPARSE_FORMS).map((form) => form([1, 2], floats(1, 2))),
  } as const;
  const SPECS = {
    'a dense one': specOf('dense', 'v', 2),
    'a multivector': specOf('multi', 'v', 2),
    'a sparse one': specOf('sparse', 'v', 0),
  } as const;

  for (const [found, vectors] of Object.entries(FORMS)) {
    for (const [wanted, spec] of Object.entries(SPECS)) {
      if (wanted === found) continue;
      test(`are refused: ${found} where the collection has ${wanted}, in every form`, () => {
        for (const vector of vectors) {
          const batch = batchOf([spec]);
          const error = errorOf(() => read(point(named(vectorOf('v', vector))), batch));
          expect(error.code).toBe('integrity');
          expect(error.message).toBe(
            `Cannot read point 7: its vector \`v\` is ${found} where the collection has ${wanted}.`,
          );
          expect(batch.rowCount).toBe(0);
        }
      });
    }
  }

  test('are refused in a form of the future, and not taken for missing or empty', () => {
    for (const spec of Object.values(SPECS)) {
      const future = vectorOf('v', bytesField(104, packedFloats(1, floats(1, 2))));
      const error = errorOf(() => read(point(named(future)), batchOf([spec])));
      expect(error.code).toBe('integrity');
      expect(error.message).toContain('its vector `v` is in a form that this version cannot read');
    }
  });

  test('are refused when they hold nothing at all, and not taken for missing or empty', () => {
    for (const spec of Object.values(SPECS)) {
      expect(errorOf(() => read(point(named(vectorOf('v'))), batchOf([spec]))).code).toBe('integrity');
    }
  });
});

describe('names of vectors', () => {
  const dense = (value: number) => bytesField(101, packedFloats(1, floats(value)));

  test('are found in any order, key before value or after it', () => {
    const names = ['a', 'aa', 'b', 'é', ''];
    const batch = batchOf(names.map((name) => specOf('dense', name, 1)));
    const orders = [names, names.toReversed(), ['b', '', 'é', 'a', 'aa']];
    for (const order of orders) {
      read(point(named(...order.map((name) => vectorOf(name, dense(names.indexOf(name)))))), batch);
    }
    const swapped = bytesField(1, bytesField(2, dense(2)), bytesField(1, Buffer.from('b')));
    read(point(named(swapped)), batch);
    const all = Object.fromEntries(names.map((name, i) => [name, [i]]));
    const onlyB = { ...Object.fromEntries(names.map((name) => [name, null])), b: [2] };
    expect(rowsOf(batch).map(({ vectors }) => vectors)).toEqual([all, all, all, onlyB]);
  });

  test('may be empty: an unnamed vector beside named ones is read from the map and from its own field', () => {
    const sparse = bytesField(102, packedFloats(1, floats(0.5)), packedVarints(2, [4]));
    const batch = batchOf([specOf('dense', '', 1), specOf('sparse', 's', 0)]);
    read(
      Buffer.concat([
        // As a server answers a point with both, with the unnamed one only, with the sparse one only.
        numbered(1, named(vectorOf('s', sparse), vectorOf('', dense(3)))),
        numbered(2, unnamed(dense(4))),
        numbered(3, named(vectorOf('s', sparse))),
        numbered(4, named(bytesField(1, bytesField(1), bytesField(2, dense(5))))),
      ]),
      batch,
    );
    const element = { indices: [4], values: [0.5] };
    expect(rowsOf(batch).map(({ vectors }) => vectors)).toEqual([
      { '': [3], s: element },
      { '': [4], s: null },
      { '': null, s: element },
      { '': [5], s: null },
    ]);
  });

  test.each([
    ['a name that no vector had', named(vectorOf('new', dense(1))), 'the vector `new`'],
    ['a beginning of a declared name', named(vectorOf('tex', dense(1))), 'the vector `tex`'],
    ['an unnamed vector in the map', named(vectorOf('', dense(1))), 'the unnamed vector'],
    ['an unnamed vector on its own', unnamed(dense(1)), 'the unnamed vector'],
  ])('that were not there when the export began are drift: %s', (_, vectors, which) => {
    for (const specs of [[specOf('dense', 'text', 1)], []]) {
      const batch = batchOf(specs);
      const error = errorOf(() => read(Buffer.concat([point(), point(vectors)]), batch));
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(
        `Cannot read point 7: it has ${which}, which was not there when the export began: the collection's vectors changed meanwhile.`,
      );
      expect(batch.rowCount).toBe(0);
    }
  });

  test.each([
    ['in one map', named(vectorOf('a', dense(1)), vectorOf('a', dense(1)))],
    ['in two maps', Buffer.concat([named(vectorOf('a', dense(1))), named(vectorOf('a', dense(1)))])],
    ['without a name', Buffer.concat([unnamed(dense(1)), unnamed(dense(1))])],
    [
      'without a name and with an empty one',
      Buffer.concat([unnamed(dense(1)), named(vectorOf('', dense(1)))]),
    ],
  ])('that come twice are refused: %s', (_, vectors) => {
    const batch = batchOf([specOf('dense', 'a', 1), specOf('dense', '', 1)]);
    const error = errorOf(() => read(point(vectors), batch));
    expect(error.code).toBe('integrity');
    expect(error.message).toMatch(/^Cannot read point 7: its vector (`a` )?is there twice\.$/);
  });

  test('are told of a point whose id has not come yet', () => {
    const error = errorOf(() => read(bare(named(vectorOf('x', dense(1))))));
    expect(error.message).toStartWith('Cannot read a point: it has the vector `x`');
  });
});
