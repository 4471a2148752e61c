import { seeded } from './batches.ts';
import type { SparseCell } from './foreign-readers.ts';
import type { TestColumn } from './parquet-tables.ts';

/** Bits of floats that are easily lost: zeros, denormals, extremes, infinities and NaNs quiet and signalling. */
const AWKWARD_BITS = [
  0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
  0x7fc00000, 0xffc00000, 0x7f800001, 0xffbfffff, 0x7fffffff, 0xffffffff,
];
const AWKWARD_INDICES = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const LETTERS = ['a', '"', '\\', '\n', '\0', '\x7f', 'é', '\u2028', '文', '😀', '\u{10ffff}', '\ufffd', ' '];

/** Up to `most`, and at least one. */
export function upTo(random: () => number, most: number): number {
  return 1 + Math.floor(random() * most);
}

function oneOf<T>(random: () => number, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)] as T;
}

function randomU32(random: () => number): number {
  return Math.floor(random() * 2 ** 32);
}

/** Any bits, one time in four awkward ones. */
export function awkwardFloats(random: () => number, count: number): Float32Array {
  const bits = Uint32Array.from({ length: count }, () =>
    random() < 0.25 ? oneOf(random, AWKWARD_BITS) : randomU32(random),
  );
  return new Float32Array(bits.buffer);
}

/** Indices in no order, twice perhaps, as nothing here may look at them. */
export function awkwardSparse(random: () => number, elements: number): SparseCell {
  const indices = Uint32Array.from({ length: elements }, () =>
    random() < 0.25 ? oneOf(random, AWKWARD_INDICES) : randomU32(random),
  );
  return { indices, values: awkwardFloats(random, elements) };
}

export function awkwardText(random: () => number, letters: number): string {
  return Array.from({ length: letters }, () => oneOf(random, LETTERS)).join('');
}

/** A column of a random kind and shape: how many of its rows are NULL, and empty, is random as well. */
export function awkwardColumn(random: () => number, name: string, rows: number): TestColumn {
  const kind = oneOf(random, ['text', 'dense', 'multi', 'sparse'] as const);
  const nulls = oneOf(random, [0, 0.1, 0.5, 1]);
  const empties = oneOf(random, [0, 0.3, 1]);
  const size = upTo(random, 9);
  const cells = <T>(make: (empty: boolean) => T): readonly (T | null)[] =>
    Array.from({ length: rows }, () => (random() < nulls ? null : make(random() < empties)));
  switch (kind) {
    case 'text':
      return { kind, name, cells: cells((empty) => (empty ? '' : awkwardText(random, upTo(random, 30)))) };
    case 'dense':
      return { kind, name, size, cells: cells(() => awkwardFloats(random, size)) };
    case 'multi': {
      const vectors = () => Array.from({ length: upTo(random, 5) }, () => awkwardFloats(random, size));
      return { kind, name, size, cells: cells((empty) => (empty ? [] : vectors())) };
    }
    case 'sparse':
      return { kind, name, cells: cells((empty) => awkwardSparse(random, empty ? 0 : upTo(random, 12))) };
  }
}

export interface Kinds {
  /** Which rows are NULL, by number of the column. */
  readonly lacks?: (row: number, column: number) => boolean;
  /** Which rows have an empty text or list. */
  readonly empty?: (row: number) => boolean;
  /** How much larger cells are than a few letters and floats. */
  readonly scale?: number;
}

/** A column of each kind. */
export function allKinds(rows: number, { lacks, empty, scale = 1 }: Kinds): readonly TestColumn[] {
  const random = seeded(rows + scale);
  const cells = <T>(column: number, make: (empty: boolean) => T): readonly (T | null)[] =>
    Array.from({ length: rows }, (_, row) =>
      lacks?.(row, column) === true ? null : make(empty?.(row) === true),
    );
  const floats = (count: number) => awkwardFloats(random, count);
  const vectors = () => Array.from({ length: upTo(random, 5) }, () => floats(scale + 1));
  return [
    {
      kind: 'text',
      name: 'text',
      cells: cells(0, (none) => (none ? '' : awkwardText(random, upTo(random, 10 * scale)))),
    },
    { kind: 'dense', name: 'dense', size: 3 * scale, cells: cells(1, () => floats(3 * scale)) },
    { kind: 'multi', name: 'multi', size: scale + 1, cells: cells(2, (none) => (none ? [] : vectors())) },
    {
      kind: 'sparse',
      name: 'sparse',
      cells: cells(3, (none) => awkwardSparse(random, none ? 0 : upTo(random, 6 * scale))),
    },
  ];
}
