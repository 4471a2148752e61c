import { describe, expect, test } from 'bun:test';
import type { FileSummary, SafePoint } from '../../../lib/writers/format.ts';
import type { SchemaName } from '../../../lib/writers/schema.ts';
import { encodeRows, type PointRow, shapeWith, unitsOf, vectorSpec } from '../../support/point-rows.ts';
import { schemaFormat } from '../../support/schema-files.ts';

const SHAPE = shapeWith([vectorSpec('dense', '', 8), vectorSpec('sparse', 'words', 0)]);
const ROWS = 950;

/** Keys that occur twice, some vectors missing. */
function rows(): PointRow[] {
  return Array.from({ length: ROWS }, (_, index) => ({
    id: String(index),
    payload: { key: JSON.stringify(`k${index % 700}`), n: String(index) },
    vectors: {
      ...(index % 5 === 0 ? {} : { '': new Float32Array(8).fill(index) }),
      words: { indices: new Uint32Array([index]), values: new Float32Array([0.5]) },
    },
  }));
}

interface Written {
  readonly bytes: Buffer;
  readonly summary: FileSummary;
  readonly points: readonly SafePoint[];
}

/** The file, or what follows a safe point of it. */
async function written(schema: SchemaName, from?: SafePoint): Promise<Written> {
  const format = schemaFormat(SHAPE, { schema, compression: 'zstd', rowGroupRows: 100 });
  const units = unitsOf(format, rows());
  const points: SafePoint[] = [];
  const taken: Uint8Array[] = [];
  async function* encoded() {
    for (const unit of units.slice(from?.units ?? 0)) yield await encodeRows(format, unit);
  }
  const chunks = format.assemble(encoded(), {
    from,
    onSafe: (point) => {
      // What was taken so far is all that may lie before it.
      expect(point.bytes).toBe((from?.bytes ?? 0) + Buffer.concat(taken).length);
      points.push(point);
    },
  });
  for (;;) {
    const step: IteratorResult<Uint8Array, FileSummary> = await chunks.next();
    if (step.done) return { bytes: Buffer.concat(taken), summary: step.value, points };
    taken.push(new Uint8Array(step.value));
  }
}

/** A safe point as another process finds it: the counts through JSON, the memory of all of them so far. */
function found(points: readonly SafePoint[]): SafePoint {
  const last = points.at(-1) as SafePoint;
  return {
    ...last,
    counts: JSON.parse(JSON.stringify(last.counts)),
    memory: new Uint8Array(Buffer.concat(points.map(({ memory }) => memory))),
  };
}

describe('a Parquet file that is gone on with', () => {
  test.each<SchemaName>(['keyed', 'points'])(
    'is the same from each safe point on, schema %s',
    async (schema) => {
      const whole = await written(schema);
      expect(whole.points).toHaveLength(10);
      expect(whole.points.at(-1)?.rows).toBe(ROWS);
      if (schema === 'keyed') {
        expect(whole.summary.keys).toEqual({ fromPayload: ROWS, duplicates: 250, exact: true });
      }
      for (let count = 1; count <= whole.points.length; count++) {
        const point = found(whole.points.slice(0, count));
        const rest = await written(schema, point);
        expect(rest.bytes.equals(whole.bytes.subarray(point.bytes))).toBeTrue();
        expect(rest.summary).toEqual(whole.summary);
        expect(rest.points.map(({ bytes }) => bytes)).toEqual(
          whole.points.slice(count).map(({ bytes }) => bytes),
        );
      }
    },
  );

  test('is the same after it was gone on with twice', async () => {
    const whole = await written('keyed');
    const first = whole.points.slice(0, 3);
    const second = await written('keyed', found(first));
    const third = await written('keyed', found([...first, ...second.points.slice(0, 4)]));
    expect(third.bytes.equals(whole.bytes.subarray(-third.bytes.length))).toBeTrue();
    expect(third.summary).toEqual(whole.summary);
  });
});
