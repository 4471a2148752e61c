import { describe, expect, test } from 'bun:test';
import {
  flatLevelsBound,
  type ListRows,
  listLevelsBound,
  writeFlatLevels,
  writeListLevels,
} from '../../../../lib/writers/parquet/parquet-levels.ts';
import { seeded } from '../../../support/batches.ts';

/** Reads levels behind their length, runs alone, and says where they end. */
function readLevels(bytes: Uint8Array, start: number): { readonly levels: number[]; readonly end: number } {
  const view = new DataView(bytes.buffer);
  const end = start + 4 + view.getUint32(start, true);
  const levels: number[] = [];
  for (let at = start + 4; at < end; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = view.getUint8(at++);
      header += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    expect(header % 2).toBe(0);
    const level = view.getUint8(at++);
    for (let value = 0; value < header / 2; value++) levels.push(level);
  }
  return { levels, end };
}

/** Row by row and value by value, as the format describes levels. */
function levelsByDefinition(rows: ListRows, from: number, to: number) {
  const repetition: number[] = [];
  const definition: number[] = [];
  for (let row = from; row < to; row++) {
    const values = rows.present[row] === 1 ? rows.valuesIn(row) : 0;
    if (values === 0) {
      repetition.push(0);
      definition.push(rows.present[row] === 1 ? rows.emptyLevel : 0);
    }
    for (let value = 0; value < values; value++) {
      repetition.push(value === 0 ? 0 : value % rows.innerSize === 0 ? 1 : 2);
      definition.push(rows.valueLevel);
    }
  }
  return { repetition, definition };
}

describe('writeListLevels()', () => {
  const kinds = [
    ['FLOAT[]', { innerSize: 1, emptyLevel: 1, valueLevel: 3 }],
    ['FLOAT[][] of 1', { innerSize: 1, emptyLevel: 1, valueLevel: 5 }],
    ['FLOAT[][] of 2', { innerSize: 2, emptyLevel: 1, valueLevel: 5 }],
    ['FLOAT[][] of 130', { innerSize: 130, emptyLevel: 1, valueLevel: 5 }],
    ['a field of a STRUCT', { innerSize: 1, emptyLevel: 2, valueLevel: 4 }],
  ] as const;

  for (const [name, nesting] of kinds) {
    test(`writes the levels of ${name}, and never more bytes than foreseen`, () => {
      const random = seeded(nesting.innerSize);
      for (let round = 0; round < 200; round++) {
        const count = 1 + Math.floor(random() * 30);
        const lists = Array.from({ length: count }, () => Math.floor(random() * 6) * nesting.innerSize);
        const rows: ListRows = {
          ...nesting,
          present: Uint8Array.from(lists, () => (random() < 0.7 ? 1 : 0)),
          valuesIn: (row) => lists[row] as number,
        };
        const from = Math.floor(random() * count);
        const wanted = levelsByDefinition(rows, from, count);
        const values = wanted.definition.filter((level) => level === nesting.valueLevel).length;
        const out = new Uint8Array(7 + listLevelsBound({ from, to: count }, values, nesting.innerSize)).fill(
          0xee,
        );
        const { end, entries } = writeListLevels(out, 7, rows, { from, to: count });
        expect(end).toBeLessThanOrEqual(out.length);
        const repetition = readLevels(out, 7);
        const definition = readLevels(out, repetition.end);
        expect(repetition.levels).toEqual(wanted.repetition);
        expect(definition.levels).toEqual(wanted.definition);
        expect({ end, entries }).toEqual({ end: definition.end, entries: wanted.definition.length });
      }
    });
  }

  test('writes runs of any length', () => {
    for (const values of [63, 64, 65, 8191, 8192, 8193, 2 ** 21]) {
      const rows: ListRows = {
        present: Uint8Array.of(1),
        valuesIn: () => values,
        innerSize: 1,
        emptyLevel: 1,
        valueLevel: 3,
      };
      const out = new Uint8Array(listLevelsBound({ from: 0, to: 1 }, values, 1));
      const { end, entries } = writeListLevels(out, 0, rows, { from: 0, to: 1 });
      expect(end).toBeLessThanOrEqual(out.length);
      expect(entries).toBe(values);
      const { levels, end: middle } = readLevels(out, 0);
      expect([levels.length, levels[0], levels[1], levels.at(-1)]).toEqual([values, 0, 1, 1]);
      expect(readLevels(out, middle).levels.length).toBe(values);
    }
  });
});

describe('writeFlatLevels()', () => {
  test('says in one run that no row is NULL', () => {
    const out = new Uint8Array(flatLevelsBound(1));
    const end = writeFlatLevels(out, 0, undefined, { from: 100, to: 100_000 });
    expect(readLevels(out, 0)).toEqual({ levels: Array.from({ length: 99_900 }, () => 1), end });
    expect(end).toBeLessThanOrEqual(out.length);
  });

  test('says which rows are NULL, and never takes more bytes than foreseen', () => {
    const random = seeded(5);
    for (const share of [0, 0.1, 0.5, 1]) {
      const present = Uint8Array.from({ length: 300 }, () => (random() < share ? 0 : 1));
      const out = new Uint8Array(3 + flatLevelsBound(290));
      const end = writeFlatLevels(out, 3, present, { from: 10, to: 300 });
      expect(readLevels(out, 3)).toEqual({ levels: [...present.subarray(10)], end });
      expect(end).toBeLessThanOrEqual(out.length);
    }
  });
});
