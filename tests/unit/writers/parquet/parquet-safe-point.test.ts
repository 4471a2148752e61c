import { describe, expect, test } from 'bun:test';
import type { FileSummary, PointSample, SafePoint } from '../../../../lib/writers/format.ts';
import type { SchemaName } from '../../../../lib/writers/schema/schema.ts';
import { encodeRows, type PointRow, shapeWith, unitsOf, vectorSpec } from '../../../support/point-rows.ts';
import { schemaFormat } from '../../../support/schema-files.ts';

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

const ANY: PointSample = { payloadBytes: 0, raggedVectorBytes: 0 };
/** For which row groups have several units. */
const LARGE: PointSample = { payloadBytes: 90, raggedVectorBytes: 0 };

interface Ways {
  readonly schema?: SchemaName;
  readonly rowGroupRows?: number;
  readonly splitBytes?: number;
  readonly sample?: PointSample;
  /** The collection's points after so many units are gone. */
  readonly units?: number;
}

/** The file, or what follows a safe point of it. */
async function written(ways: Ways, from?: SafePoint): Promise<Written> {
  const { schema = 'keyed', rowGroupRows = 100, splitBytes, sample = ANY, units: end } = ways;
  const format = schemaFormat(SHAPE, { schema, compression: 'zstd', rowGroupRows, splitBytes, sample });
  const units = unitsOf(format, rows());
  const points: SafePoint[] = [];
  const taken: Uint8Array[] = [];
  async function* encoded() {
    for (const unit of units.slice(from?.units ?? 0, end)) yield await encodeRows(format, unit);
  }
  const chunks = format.assemble(encoded(), {
    from,
    onSafe: (point) => {
      // What was taken so far is all that may lie before it.
      expect(point.bytes).toBe((from?.bytes ?? 0) + Buffer.concat(taken).length);
      // Whoever counts units between two of them has at least one.
      expect(point.units).toBeGreaterThan(points.at(-1)?.units ?? from?.units ?? 0);
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
      const whole = await written({ schema });
      expect(whole.points).toHaveLength(10);
      expect(whole.points.at(-1)?.rows).toBe(ROWS);
      if (schema === 'keyed') {
        expect(whole.summary.keys).toEqual({ fromPayload: ROWS, duplicates: 250, exact: true });
      }
      for (let count = 1; count <= whole.points.length; count++) {
        const point = found(whole.points.slice(0, count));
        const rest = await written({ schema }, point);
        expect(rest.bytes.equals(whole.bytes.subarray(point.bytes))).toBeTrue();
        expect(rest.summary).toEqual(whole.summary);
        expect(rest.points.map(({ bytes }) => bytes)).toEqual(
          whole.points.slice(count).map(({ bytes }) => bytes),
        );
      }
    },
  );

  test('is the same after it was gone on with twice', async () => {
    const whole = await written({});
    const first = whole.points.slice(0, 3);
    const second = await written({}, found(first));
    const third = await written({}, found([...first, ...second.points.slice(0, 4)]));
    expect(third.bytes.equals(whole.bytes.subarray(-third.bytes.length))).toBeTrue();
    expect(third.summary).toEqual(whole.summary);
  });
});

describe('Parquet files of at most so many bytes that are gone on with', () => {
  // Row groups of several units, of which some end with a file and some within one.
  const WAYS: readonly Ways[] = [
    { splitBytes: 9000, rowGroupRows: 20 },
    { splitBytes: 8000, rowGroupRows: 30 },
    { splitBytes: 6000, rowGroupRows: 100, sample: LARGE },
    { splitBytes: 7000, rowGroupRows: 30, sample: LARGE, schema: 'points' },
  ];

  test.each(WAYS)(
    'are the same from each safe point on: $splitBytes bytes, row groups of $rowGroupRows',
    async (ways) => {
      const whole = await written(ways);
      const parts = whole.summary.parts ?? [];
      expect(parts.length).toBeGreaterThan(2);
      expect(fileEnds(whole)).toEqual(parts.slice(0, -1).map((_, index) => endOf(parts, index)));
      for (let count = 1; count <= whole.points.length; count++) {
        const point = found(whole.points.slice(0, count));
        const rest = await written(ways, point);
        expect(rest.bytes.equals(whole.bytes.subarray(point.bytes))).toBeTrue();
        expect(rest.summary).toEqual(whole.summary);
        expect(rest.points.map(({ bytes }) => bytes)).toEqual(
          whole.points.slice(count).map(({ bytes }) => bytes),
        );
      }
    },
  );

  test('have safe points within files too', async () => {
    const whole = await written({ splitBytes: 9000, rowGroupRows: 20 });
    expect(whole.points.length).toBeGreaterThan(fileEnds(whole).length + 5);
  });

  test('are the same after they were gone on with at every safe point, each time by another process', async () => {
    const ways = { splitBytes: 9000, rowGroupRows: 20 };
    const whole = await written(ways);
    const points: SafePoint[] = [];
    const bytes: Uint8Array[] = [];
    for (;;) {
      const from = points.length === 0 ? undefined : found(points);
      const next = await written(ways, from);
      const [point] = next.points;
      if (point === undefined) {
        expect(next.summary).toEqual(whole.summary);
        expect(Buffer.concat([...bytes, next.bytes]).equals(whole.bytes)).toBeTrue();
        break;
      }
      bytes.push(next.bytes.subarray(0, point.bytes - (from?.bytes ?? 0)));
      points.push(point);
    }
    expect(points).toHaveLength(whole.points.length);
  });

  test('have no file more where the points after the end of one are gone', async () => {
    const ways = { splitBytes: 9000, rowGroupRows: 20 };
    const whole = await written(ways);
    const end = fileEnds(whole)[1] as number;
    const at = whole.points.findIndex(({ bytes }) => bytes === end);
    const point = found(whole.points.slice(0, at + 1));
    const rest = await written({ ...ways, units: point.units }, point);
    expect(rest.bytes).toHaveLength(0);
    expect(rest.summary.parts).toEqual(whole.summary.parts?.slice(0, 2) as never);
    expect(rest.summary.rows).toBe(point.rows);
  });

  test('keep their counts small, however many files there are', async () => {
    const { points, summary } = await written({ splitBytes: 3700, rowGroupRows: 5 });
    expect(summary.parts?.length).toBeGreaterThan(20);
    const sizes = points.map(({ counts }) => JSON.stringify(counts).length);
    expect((sizes.at(-1) as number) - (sizes[0] as number)).toBeLessThan(20);
  });

  test('leave what a run of one file remembers as it was: row groups and keys, each behind its length', async () => {
    const { points } = await written({});
    const { memory } = points[0] as SafePoint;
    const view = new DataView(memory.buffer);
    const groups = view.getUint32(0, true);
    const keys = view.getUint32(4 + groups, true);
    expect(keys).toBe(100 * 8);
    expect(memory).toHaveLength(8 + groups + keys);
  });
});

type Parts = NonNullable<FileSummary['parts']>;

function endOf(parts: Parts, index: number): number {
  return parts.slice(0, index + 1).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Safe points at the end of a file. */
function fileEnds({ points, bytes }: Written): readonly number[] {
  return points
    .map((point) => point.bytes)
    .filter((at) => bytes.toString('latin1', at - 4, at + 4) === 'PAR1PAR1');
}
