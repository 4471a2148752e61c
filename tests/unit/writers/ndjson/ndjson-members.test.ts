import { describe, expect, test } from 'bun:test';
import { gunzipSync } from 'node:zlib';
import type { VectorSpec } from '../../../../lib/model.ts';
import type { AssembleOptions, SafePoint } from '../../../../lib/writers/format.ts';
import { gzipMember } from '../../../../lib/writers/ndjson/gzip-member.ts';
import {
  type NdjsonOptions,
  type NdjsonSummary,
  type NdjsonUnit,
  ndjsonFormat,
} from '../../../../lib/writers/ndjson/ndjson.ts';
import { seeded } from '../../../support/batches.ts';
import {
  assembled,
  encodeRows,
  type PointRow,
  shapeWith,
  unitsOf,
  vectorSpec,
  writeRows,
} from '../../../support/point-rows.ts';

/** Units of four rows. */
const HEAVY = { payloadBytes: 2 * 1024 * 1024, raggedVectorBytes: 0 };
const OPTIONS: NdjsonOptions = { schema: 'keyed', keyField: 'key', metadataField: undefined, sample: HEAVY };
const SHAPE = shapeWith([vectorSpec('dense', '', 3)]);

function somePoints(count: number): readonly PointRow[] {
  const random = seeded(count);
  return Array.from({ length: count }, (_, id) => ({
    id: String(id),
    // Every seventh key was there before.
    payload: id % 2 === 0 ? { key: `"k${id % 14}"` } : { text: JSON.stringify('x'.repeat((id * 7) % 31)) },
    vectors: { '': id % 5 === 3 ? null : Float32Array.from({ length: 3 }, () => random() - 0.5) },
  }));
}

const ROWS = somePoints(30);

interface Run {
  readonly bytes: Buffer;
  readonly summary: NdjsonSummary;
  readonly points: readonly SafePoint[];
}

/** Assembles rows and notes, at each safe point, that all bytes before it were taken. */
async function run(rows: readonly PointRow[], from?: SafePoint): Promise<Run> {
  const format = ndjsonFormat(SHAPE, OPTIONS);
  async function* units(): AsyncGenerator<NdjsonUnit> {
    for (const unit of unitsOf(format, rows).slice(from?.units ?? 0)) yield await encodeRows(format, unit);
  }
  const points: SafePoint[] = [];
  const parts: Buffer[] = [];
  let taken = from?.bytes ?? 0;
  const options: AssembleOptions = {
    from,
    onSafe: (point) => {
      expect(point.bytes).toBe(taken);
      points.push(point);
    },
  };
  const chunks = format.assemble(units(), options);
  for (;;) {
    const step: IteratorResult<Uint8Array<ArrayBuffer>, NdjsonSummary> = await chunks.next();
    if (step.done) return { bytes: Buffer.concat(parts), summary: step.value, points };
    parts.push(Buffer.from(step.value));
    taken += step.value.length;
  }
}

/** As a journal gives it to another process: JSON, and the memory of all safe points before. */
function remembered(points: readonly SafePoint[]): SafePoint {
  const last = points.at(-1) as SafePoint;
  const memory = new Uint8Array(Buffer.concat(points.map((point) => point.memory)));
  return { ...last, counts: JSON.parse(JSON.stringify(last.counts)), memory };
}

describe('members of ndjsonFormat()', () => {
  test('are one a unit, and gunzip as one text of all lines', async () => {
    const { bytes, summary, points } = await run(ROWS);
    expect(points.map(({ units, rows }) => [units, rows])).toEqual(
      [4, 8, 12, 16, 20, 24, 28, 30].map((rows, unit) => [unit + 1, rows]),
    );
    const text = gunzipSync(bytes).toString();
    const lines = text.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line).vector === null)).toEqual(
      ROWS.map(({ vectors }) => vectors?.[''] === null),
    );
    expect(summary).toEqual({
      rows: 30,
      rowGroups: 0,
      rawBytes: text.length,
      longestRow: Math.max(...lines.map((line) => line.length + 1)),
      emptyVectors: { vector: 6 },
      keys: { fromPayload: 15, duplicates: 8, exact: true },
      notes: [],
    });
  });

  test('are whole up to each safe point, from which another process goes on to the same bytes and counts', async () => {
    const whole = await run(ROWS);
    expect(whole.points.length).toBe(8);
    for (const [at, point] of whole.points.entries()) {
      const before = whole.bytes.subarray(0, point.bytes);
      expect(gunzipSync(before).toString().split('\n').length - 1).toBe(point.rows);
      const after = await run(ROWS, remembered(whole.points.slice(0, at + 1)));
      expect(Buffer.concat([before, after.bytes]).equals(whole.bytes)).toBe(true);
      expect(after.summary).toEqual(whole.summary);
      expect(after.points.map(({ memory: _, ...rest }) => rest)).toEqual(
        whole.points.slice(at + 1).map(({ memory: _, ...rest }) => rest),
      );
    }
  });

  test('have the same bytes whatever order units are encoded in, and however many at once', async () => {
    const expected = await run(ROWS);
    const format = ndjsonFormat(SHAPE, OPTIONS);
    const backwards: Promise<NdjsonUnit>[] = [];
    for (const unit of unitsOf(format, ROWS).toReversed()) backwards.unshift(encodeRows(format, unit));
    async function* inOrder(): AsyncGenerator<NdjsonUnit> {
      for (const unit of await Promise.all(backwards)) yield unit;
    }
    const { bytes } = await assembled(format, inOrder());
    expect(expected.bytes.equals(bytes)).toBe(true);
  });

  test('are one of no lines in a collection without points', async () => {
    const { bytes, summary } = await writeRows(ndjsonFormat(SHAPE, OPTIONS), []);
    expect(bytes.length).toBeGreaterThan(0);
    expect(gunzipSync(bytes).length).toBe(0);
    expect(summary).toMatchObject({ rows: 0, rowGroups: 0, longestRow: 0, emptyVectors: { vector: 0 } });
  });

  test('are none for a unit whose points are all gone, and the file is one still', async () => {
    const format = ndjsonFormat(SHAPE, OPTIONS);
    const none = await encodeRows(format, []);
    expect([none.rowCount, none.member.length]).toEqual([0, 0]);
    async function* units(): AsyncGenerator<NdjsonUnit> {
      yield none;
      yield await encodeRows(format, ROWS.slice(0, 2));
      yield await encodeRows(format, []);
    }
    const { bytes, summary } = await assembled(format, units());
    expect(gunzipSync(bytes).toString().split('\n').length - 1).toBe(2);
    expect(summary.rows).toBe(2);
  });
});

describe('gzipMember()', () => {
  const random = seeded(3);
  const noise = (length: number) => Uint8Array.from({ length }, () => Math.floor(random() * 256));

  // Noise becomes longer than it was, and so takes a second buffer.
  for (const [words, text] of [
    ['no bytes', new Uint8Array(0)],
    ['a few bytes', noise(10)],
    ['text of 300 kB', new TextEncoder().encode('0.123,-4.56e7 '.repeat(20_000))],
    ['noise of 64 kB', noise(64 * 1024)],
    ['noise of 1 MB', noise(1_000_001)],
  ] as const) {
    test(`compresses ${words}, and says neither when nor where`, async () => {
      const member = await gzipMember(text);
      expect(gunzipSync(member).equals(text)).toBe(true);
      // RFC 1952: magic, deflate, no flags, no time; the last byte is the system.
      expect([...member.subarray(0, 8)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
      expect(member[9]).toBe(255);
    });
  }
});

describe('ndjsonFormat()', () => {
  const rowsOf = (vectors: readonly VectorSpec[], payloadBytes = 0, raggedVectorBytes = 0) => {
    const format = ndjsonFormat(shapeWith(vectors), {
      ...OPTIONS,
      sample: { payloadBytes, raggedVectorBytes },
    });
    expect(format.unitRows(0)).toBe(format.layout.rows);
    expect(format.unitRows(99)).toBe(format.layout.rows);
    return format.layout.rows;
  };
  const dense = (size: number) => vectorSpec('dense', '', size);

  test('makes units of about 8 MiB of text, of 1,024 rows at most and one at least', () => {
    expect([4, 512, 1024, 4096, 1_000_000].map((size) => rowsOf([dense(size)]))).toEqual([
      1024, 1024, 682, 170, 1,
    ]);
    expect([350, 9_000, 100_000, 100_000_000].map((bytes) => rowsOf([dense(4)], bytes))).toEqual([
      1024, 512, 64, 1,
    ]);
    const multi = vectorSpec('multi', 'm', 128);
    expect([0, 4_000, 60_000, 100_000_000].map((bytes) => rowsOf([multi], 0, bytes))).toEqual([
      1024, 512, 32, 1,
    ]);
    expect(rowsOf([dense(1024)], 0, 4096)).toBe(682);
  });

  test('cuts at the same rows when sampled sizes grow a little', () => {
    const vectors = [dense(100), vectorSpec('multi', 'm', 128)];
    expect(rowsOf(vectors, 9_000, 33_000)).toBe(rowsOf(vectors, 9_500, 35_000));
  });

  for (const [words, schema, vectors] of [
    ['ndjson-gz', 'keyed', [dense(3)]],
    ['ndjson-gz, schema points', 'points', [dense(3)]],
    ['ndjson-gz, no vectors', 'keyed', []],
  ] as const) {
    test(`says what it writes: ${words}`, () => {
      expect(ndjsonFormat(shapeWith(vectors), { ...OPTIONS, schema }).description).toBe(words);
    });
  }

  test('estimates a file about as large as it becomes', async () => {
    const random = seeded(5);
    const rows = Array.from({ length: 100 }, (_, id) => ({
      id: String(id),
      payload: { text: JSON.stringify(String(random()).repeat(10)) },
      vectors: { '': Float32Array.from({ length: 256 }, () => random() - 0.5) },
    }));
    const format = ndjsonFormat(shapeWith([dense(256)]), {
      ...OPTIONS,
      sample: { payloadBytes: 200, raggedVectorBytes: 0 },
    });
    const { bytes } = await writeRows(format, rows);
    const estimate = format.estimateBytes(100, 4 * 256 + 200);
    expect(estimate / bytes.length).toBeGreaterThan(0.9);
    expect(estimate / bytes.length).toBeLessThan(1.4);
  });
});
