/** What a text column's chunk says about its texts. */
export interface ColumnStatistics {
  /** Rows that are NULL. */
  readonly nullCount: number;
  /** Least and greatest text by unsigned bytes; undefined where no row has one, or none are wanted. */
  readonly min: Uint8Array | undefined;
  readonly max: Uint8Array | undefined;
}

/** Statistics of two parts of a chunk together. */
export function joinStatistics(a: ColumnStatistics, b: ColumnStatistics): ColumnStatistics {
  return {
    nullCount: a.nullCount + b.nullCount,
    min: furthest(a.min, b.min, -1),
    max: furthest(a.max, b.max, 1),
  };
}

function furthest(
  a: Uint8Array | undefined,
  b: Uint8Array | undefined,
  direction: 1 | -1,
): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Buffer.compare(a, b) * direction >= 0 ? a : b;
}
