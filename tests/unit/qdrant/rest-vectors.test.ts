import { expect, test } from 'bun:test';
import type { PointBatch } from '../../../lib/batch.ts';
import type { VectorSpec } from '../../../lib/model.ts';
import { readRetrieved, readScrolled } from '../../../lib/qdrant/rest-reader.ts';
import { emptyBatch, errorOf, rowsOf, rowsOfAnswer, specOf } from './batch-rows.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const dense = (name: string, size: number) => specOf('dense', name, size);
const multi = (name: string, size: number) => specOf('multi', name, size);
const sparse = (name: string) => specOf('sparse', name, 0);

/** The answer to a retrieve of points with these vectors; ids from 1. */
function answerOf(...vectors: readonly string[]): string {
  const points = vectors.map((vector, i) => `{"id":${i + 1},"payload":{},"vector":${vector}}`);
  return `{"result":[${points.join()}],"status":"ok","time":0.1}`;
}

function readInto(batch: PointBatch, text: string): PointBatch {
  readRetrieved(bytesOf(text), batch, batch.layout.rows);
  return batch;
}

function vectorsOf(specs: readonly VectorSpec[], ...vectors: readonly string[]) {
  return rowsOf(readInto(emptyBatch(specs), answerOf(...vectors))).map((row) => row.vectors);
}

/** What is said of point 1 with this vector. */
function problemOf(specs: readonly VectorSpec[], vector: string): string {
  const batch = emptyBatch(specs);
  const error = errorOf(() => readInto(batch, answerOf(vector)));
  expect([error.code, error.remedy]).toEqual(['integrity', 'none']);
  expect(batch.rowCount).toBe(0);
  expect(error.message).toStartWith('point 1 has ');
  return error.message.slice('point 1 has '.length);
}

test('named vectors of every kind are read by name, NULL where a point lacks one', () => {
  const specs = [sparse('bm25'), multi('colbert', 2), dense('image', 1), dense('text', 2)];
  const text = answerOf(
    '{"colbert":[[1.0,2.0],[3.0,4.0],[5.0,-6e-3]],"text":[0.5,0.25],"bm25":{"indices":[1,4294967295],"values":[1.5,-2.25]},"image":[1.0]}',
    ' { "bm25" : { "values" : [ 0.5 , 1 ] , "indices" : [ 0 , 7 ] } , "text" : null , "image" : [ 2.0 ] } ',
    '{"bm25":{"indices":[],"values":[]},"colbert":null}',
    '{"colbert":[[0.1,0.2]]}',
    '{}',
    'null',
    '{"bm25":{ "values" : [ ] , "indices" : [ ] }}',
    '{"bm25":null,"text":[3.25,0]}',
  );
  const batch = readInto(emptyBatch(specs), text);
  expect(rowsOf(batch)).toEqual(rowsOfAnswer(text, specs));
  expect(rowsOf(batch)[2]?.vectors.bm25).toEqual({ indices: [], values: [] });
  expect(rowsOf(batch)[7]?.vectors.bm25).toBeNull();
  const [bm25, colbert] = batch.vectors;
  expect([...(bm25?.present.subarray(0, 9) ?? [])]).toEqual([1, 1, 1, 0, 0, 0, 1, 0, 0]);
  expect([...(colbert?.present.subarray(0, 9) ?? [])]).toEqual([1, 0, 0, 1, 0, 0, 0, 0, 0]);
  expect(bm25?.kind === 'sparse' && [...bm25.ends.subarray(0, 8)]).toEqual([2, 4, 4, 4, 4, 4, 4, 4]);
  expect(colbert?.kind === 'multi' && [...colbert.ends.subarray(0, 8)]).toEqual([6, 6, 6, 8, 8, 8, 8, 8]);
});

test('an unnamed vector is a list alone and "" beside named ones, as servers answer mixed collections', () => {
  const specs = [dense('', 2), sparse('s')];
  expect(
    vectorsOf(
      specs,
      '{"":[1,2],"s":{"indices":[3],"values":[4]}}',
      '[5,6]',
      '{"s":{"indices":[7],"values":[8]}}',
    ),
  ).toEqual([
    { '': [1, 2], s: { indices: [3], values: [4] } },
    { '': [5, 6], s: null },
    { '': null, s: { indices: [7], values: [8] } },
  ]);
  expect(vectorsOf([multi('', 2)], '[[1,2],[3,4]]', '{"":[[5,6]]}', '[]', 'null')).toEqual([
    {
      '': [
        [1, 2],
        [3, 4],
      ],
    },
    { '': [[5, 6]] },
    { '': [] },
    { '': null },
  ]);
});

test('names are found in any order and spelling, however alike they are', () => {
  const names = ['a', 'ab', 'b', 'é', '漢"字', 'a\\b', 'tab\t', '😀', ' '];
  const specs = names.map((name) => dense(name, 1));
  const value = (name: string) => names.indexOf(name) + 1;
  const plain = (list: readonly string[]) =>
    `{${list.map((name) => `${JSON.stringify(name)}:[${value(name)}]`).join()}}`;
  const escaped = `{${names
    .map(
      (name) =>
        `"${[...name].map((char) => [...Array(char.length).keys()].map((i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')).join('')}":[${value(name)}]`,
    )
    .join()}}`;
  const all = Object.fromEntries(names.map((name) => [name, [value(name)]]));
  expect(vectorsOf(specs, plain(names), plain(names.toReversed()), escaped, plain(names))).toEqual([
    all,
    all,
    all,
    all,
  ]);
  const some = Object.fromEntries(
    names.map((name) => [name, name === 'b' || name === ' ' ? [value(name)] : null]),
  );
  expect(vectorsOf(specs, plain([' ', 'b']))).toEqual([some]);
});

test('rows are appended after what a batch already holds, in every kind of column', () => {
  const specs = [dense('d', 1), multi('m', 1), sparse('s')];
  const batch = emptyBatch(specs, [], 4);
  const texts = [1, 2, 3].map(
    (i) =>
      `{"result":[{"id":${i},"vector":{"s":{"indices":[${i}],"values":[${i}]},"m":[[${i}],[${i}]],"d":[${i}]}}]}`,
  );
  for (const text of texts) readRetrieved(bytesOf(text), batch, 1);
  expect(rowsOf(batch)).toEqual(texts.flatMap((text) => [...rowsOfAnswer(text, specs)]));
});

test('columns grow past their first guess and keep what they hold', () => {
  const specs = [multi('m', 3), sparse('s')];
  const inner = (from: number) => `[${from},${from + 0.5},-${from}]`;
  const many = (i: number) => {
    const count = 40 + 90 * i;
    const list = (of: (k: number) => unknown) => `[${Array.from({ length: count }, (_, k) => of(k)).join()}]`;
    return `{"m":${list((k) => inner(k + i))},"s":{"indices":${list((k) => k * 1000 + i)},"values":${list((k) => k / 8)}}}`;
  };
  const text = answerOf(...Array.from({ length: 5 }, (_, i) => many(i)));
  const batch = readInto(emptyBatch(specs, [], 5), text);
  expect(rowsOf(batch)).toEqual(rowsOfAnswer(text, specs));
  const [m, s] = batch.vectors;
  const total = 40 + 130 + 220 + 310 + 400;
  expect([m?.kind === 'multi' && m.length, s?.kind === 'sparse' && s.length]).toEqual([3 * total, total]);
});

test('a dense vector that is not `size` floats is told by its length or what is in it', () => {
  const told = (vector: string) => problemOf([dense('', 3)], vector);
  expect(told('[1.0,2.0]')).toBe('a vector of 2 dimensions where the collection declares 3');
  expect(told('[1,2,3,4]')).toBe('a vector of 4 dimensions where the collection declares 3');
  expect(told('[]')).toBe('a vector of 0 dimensions where the collection declares 3');
  expect(told('[1.0,null,2]')).toBe(
    'a vector with a number that REST cannot carry (NaN or infinite); use gRPC',
  );
  expect(told('[1.0,1e39,3]')).toBe('a vector with a number beyond float32');
  expect(told('[1.0,"2",3]')).toBe('a vector that is not a list of numbers');
  expect(told('[[1.0,2.0,3.0]]')).toBe('a vector that is not a list of numbers');
  expect(told('{"":{"indices":[1],"values":[1]}}')).toBe('a vector that is not a list of numbers');
  expect(told('7')).toBe('a vector that is neither a list nor a map of vectors');
  expect(told('"AAAA"')).toBe('a vector that is neither a list nor a map of vectors');
});

test('a multivector with a wrong vector in it is told by that', () => {
  const told = (vector: string) => problemOf([multi('m', 2)], `{"m":${vector}}`);
  expect(told('[[1,2],[3]]')).toBe('a vector `m` of 1 dimensions where the collection declares 2');
  expect(told('[[1,2],[3,4,5],[6]]')).toBe('a vector `m` of 3 dimensions where the collection declares 2');
  expect(told('[[]]')).toBe('a vector `m` of 0 dimensions where the collection declares 2');
  expect(told('[[1,2],[null,4]]')).toBe(
    'a vector `m` with a number that REST cannot carry (NaN or infinite); use gRPC',
  );
  expect(told('[[1,2],[3,-4e38]]')).toBe('a vector `m` with a number beyond float32');
  for (const wrong of ['[1,2]', '[[1,2],3]', '[[1,2],null]', '{"indices":[1],"values":[1]}', '7', '"x"']) {
    expect(told(wrong)).toBe('a vector `m` that is not a list of vectors');
  }
  expect(told('[[1,[2]]]')).toBe('a vector `m` that is not a list of numbers');
});

test('a sparse vector with wrong or missing lists is told by what is wrong', () => {
  const told = (vector: string) => problemOf([sparse('s')], `{"s":${vector}}`);
  expect(told('{"indices":[1,2],"values":[1]}')).toBe('a vector `s` of 2 indices and 1 values');
  expect(told('{"values":[1,2,3],"indices":[]}')).toBe('a vector `s` of 0 indices and 3 values');
  expect(told('{"indices":[1,4294967296],"values":[1,2]}')).toBe(
    'a vector `s` with the index 4294967296, which is no u32',
  );
  for (const index of ['-1', '1.0', '1e3', '99999999999999999999']) {
    expect(told(`{"indices":[${index}],"values":[1]}`)).toBe(
      `a vector \`s\` with the index ${index}, which is no u32`,
    );
  }
  expect(told('{"indices":["1"],"values":[1]}')).toBe('a vector `s` whose indices are not a list of numbers');
  expect(told('{"indices":[null],"values":[1]}')).toBe(
    'a vector `s` whose indices are not a list of numbers',
  );
  expect(told('{"indices":[1],"values":[null]}')).toContain('REST cannot carry');
  expect(told('{"indices":[1],"values":[1e39]}')).toBe('a vector `s` with a number beyond float32');
  expect(told('{"indices":[1],"values":[[1]]}')).toBe('a vector `s` that is not a list of numbers');
  expect(told('{"indices":[1],"values":7}')).toBe('a vector `s` that is not a list of numbers');
  expect(told('{"indices":null,"values":null}')).toBe('a vector `s` that is not a list of numbers');
  expect(told('{"indices":[1]}')).toBe('a vector `s` without values');
  expect(told('{"values":[1]}')).toBe('a vector `s` without indices');
  expect(told('{}')).toBe('a vector `s` without indices');
  for (const wrong of ['[1,2]', '[[1]]', '7', 'true']) {
    expect(told(wrong)).toBe('a vector `s` that is not sparse: it has no indices and values');
  }
});

test('what is wrong names the point wherever its id stands, and the first of several problems', () => {
  const batch = emptyBatch([dense('a', 1), dense('b', 1)]);
  const vector = '{"b":[1,2],"a":[1,2,3]}';
  for (const point of [`{"id":17,"vector":${vector}}`, `{"vector":${vector},"id":17}`]) {
    const error = errorOf(() => readInto(batch, `{"result":[${point}]}`));
    expect(error.message).toBe('point 17 has a vector `b` of 2 dimensions where the collection declares 1');
  }
});

test('a vector that was not asked for is drift of the shape, not something to skip', () => {
  const drifted = (which: string) =>
    `${which}, which was not asked for: the collection's vectors changed meanwhile`;
  expect(problemOf([dense('a', 1)], '{"a":[1],"new":[1]}')).toBe(drifted('a vector `new`'));
  expect(problemOf([dense('', 1)], '{"":[1],"s":{"indices":[],"values":[]}}')).toBe(drifted('a vector `s`'));
  expect(problemOf([dense('a', 1)], '[1]')).toBe(drifted('an unnamed vector'));
  expect(problemOf([dense('a', 1)], '{"":[1]}')).toBe(drifted('an unnamed vector'));
});

test('without vectors to read, whatever a server sends of them is skipped', () => {
  const text = answerOf('[1,2]', '{"a":[[1],{"b":null}]}', 'null', '{}');
  expect(readInto(emptyBatch([]), text).rowCount).toBe(4);
});

test('indices that are no JSON are damaged answers, and a million commas reserve no memory', () => {
  const bad = ['[01]', '[1 2]', '[1,]', '[,1]', '[1;2]', `[${','.repeat(1_000_000)}]`];
  for (const indices of bad) {
    const batch = emptyBatch([sparse('s')], [], 2);
    const held = batch.vectors[0]?.values.length;
    const error = errorOf(() => readInto(batch, answerOf(`{"s":{"indices":${indices},"values":[1]}}`)));
    expect(error.code).toBe('qdrant');
    expect([batch.rowCount, batch.vectors[0]?.values.length]).toEqual([0, held]);
  }
});

test('the same vector or member twice is a damaged answer', () => {
  const twice = [
    '{"d":[1],"d":[2]}',
    '{"m":[[1]],"m":[[2]]}',
    '{"s":{"indices":[],"values":[]},"s":{"indices":[],"values":[]}}',
    '{"s":{"indices":[1],"values":[1],"indices":[2]}}',
  ];
  for (const vector of twice) {
    const batch = emptyBatch([dense('d', 1), multi('m', 1), sparse('s')]);
    const error = errorOf(() => readInto(batch, answerOf(vector)));
    expect([error.code, error.remedy]).toEqual(['qdrant', 'none']);
    expect(batch.rowCount).toBe(0);
  }
});

test('an answer with vectors of every kind, cut anywhere, is worth another try and leaves no rows', () => {
  const specs = [dense('d', 2), multi('m', 2), sparse('s')];
  const whole = bytesOf(
    '{"result":{"points":[{"id":1,"vector":{"s":{"indices":[1,22],"values":[0.5,-2.5e-3]},"m":[[0.12345678,1],[2,3]],"d":[1.0,2.0]}}],"next_page_offset":3},"status":"ok","time":0.5}',
  );
  const batch = emptyBatch(specs);
  for (let length = 0; length < whole.length; length++) {
    const error = errorOf(() => readScrolled(whole.slice(0, length), batch, 2));
    expect([length, error.code, error.remedy]).toEqual([length, 'qdrant', 'again']);
    // A view into a larger buffer, as answers of unknown length are read.
    expect(errorOf(() => readScrolled(whole.subarray(0, length), batch, 2)).remedy).toBe('again');
    const lengths = batch.vectors.map((column) => (column.kind === 'dense' ? 0 : column.length));
    expect([batch.rowCount, ...lengths]).toEqual([0, 0, 0, 0]);
    for (const column of batch.vectors) expect(column.present.includes(1)).toBe(false);
  }
  expect(readScrolled(whole, batch, 2)).toBe('3');
});
