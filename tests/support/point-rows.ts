import { type BatchLayout, PointBatch } from '../../lib/batch.ts';
import type { CollectionShape, ShardKey, VectorSpec } from '../../lib/model.ts';
import type { VectorColumn } from '../../lib/vector-columns.ts';
import type { EncodedUnit, FileSummary, Format } from '../../lib/writers/format.ts';
import type { SparseCell } from './foreign-readers.ts';

export type VectorCell = Float32Array | readonly Float32Array[] | SparseCell | null;

/** A point as a test writes it down. */
export interface PointRow {
  readonly id: string;
  /** The JSON text of each member's value. */
  readonly payload?: Readonly<Record<string, string>>;
  /** By vector name; a name that is not there is a vector that the point lacks. */
  readonly vectors?: Readonly<Record<string, VectorCell>>;
  readonly shardKey?: ShardKey | undefined;
}

export function vectorSpec(kind: VectorSpec['kind'], name: string, size = 0): VectorSpec {
  return { kind, name, size, distance: kind === 'sparse' ? '' : 'Dot', datatype: 'float32' };
}

export function shapeWith(
  vectors: readonly VectorSpec[],
  other: Partial<CollectionShape> = {},
): CollectionShape {
  return {
    name: 'things',
    collection: 'things',
    serverVersion: '1.18.3',
    vectors,
    shardCount: 1,
    sharding: 'auto',
    shardKeys: [],
    strictMode: {},
    config: '{"params":{}}',
    updateQueue: undefined,
    ...other,
  };
}

export function sparse(indices: readonly number[], values: readonly number[]): SparseCell {
  return { indices: Uint32Array.from(indices), values: Float32Array.from(values) };
}

/** The canonical text of a point's payload. */
export function payloadText({ payload = {} }: PointRow): string {
  return laidOut(payload).text;
}

function laidOut(payload: Readonly<Record<string, string>>) {
  const byCodePoint = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const spans = new Map<string, readonly [start: number, end: number]>();
  let text = '{';
  for (const name of Object.keys(payload).sort(byCodePoint)) {
    if (text !== '{') text += ',';
    text += `${JSON.stringify(name)}:`;
    const start = Buffer.byteLength(text);
    text += payload[name];
    spans.set(name, [start, Buffer.byteLength(text)]);
  }
  return { text: `${text}}`, spans };
}

/** A batch as a transport would have filled it. */
export function batchOfRows(layout: BatchLayout, rows: readonly PointRow[]): PointBatch {
  const batch = new PointBatch(layout);
  batch.shardKey = rows[0]?.shardKey;
  for (const [row, point] of rows.entries()) {
    const { text, spans } = laidOut(point.payload ?? {});
    const start = batch.payload.length;
    const bytes = new TextEncoder().encode(text);
    batch.payload.reserve(bytes.length).set(bytes, start);
    batch.payload.length += bytes.length;
    for (const field of batch.fields) {
      const span = spans.get(field.name);
      if (span === undefined) continue;
      field.starts[row] = start + span[0];
      field.ends[row] = start + span[1];
    }
    for (const column of batch.vectors) fillCell(column, row, point.vectors?.[column.spec.name] ?? null);
    batch.endRow(point.id);
  }
  return batch;
}

function fillCell(column: VectorColumn, row: number, cell: VectorCell): void {
  if (cell === null) return;
  column.present[row] = 1;
  switch (column.kind) {
    case 'dense':
      column.values.set(cell as Float32Array, row * column.spec.size);
      return;
    case 'multi':
      for (const vector of cell as readonly Float32Array[]) {
        column.reserve(vector.length);
        column.values.set(vector, column.length);
        column.length += vector.length;
      }
      return;
    case 'sparse': {
      const { indices, values } = cell as SparseCell;
      column.reserve(indices.length);
      column.indices.set(indices, column.length);
      column.values.set(values, column.length);
      column.length += indices.length;
    }
  }
}

/** Rows in the units that the format wants, those of one shard key on their own. */
export function unitsOf(format: Format, rows: readonly PointRow[]): readonly (readonly PointRow[])[] {
  const units: (readonly PointRow[])[] = [];
  const keyOf = ({ shardKey }: PointRow) => JSON.stringify(shardKey);
  for (let from = 0; from < rows.length; ) {
    const first = rows[from] as PointRow;
    const set = rows.slice(from).findIndex((row) => keyOf(row) !== keyOf(first));
    const end = Math.min(set === -1 ? rows.length : from + set, from + format.unitRows(units.length));
    units.push(rows.slice(from, end));
    from = end;
  }
  return units;
}

export interface Written {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly summary: FileSummary;
}

/** The file of some rows; every batch is spoilt once it was encoded. */
export async function writeRows<Unit extends EncodedUnit>(
  format: Format<Unit>,
  rows: readonly PointRow[],
): Promise<Written> {
  async function* units(): AsyncGenerator<Unit> {
    for (const unit of unitsOf(format as Format, rows)) yield await encodeRows(format, unit);
  }
  return assembled(format, units());
}

export async function encodeRows<Unit extends EncodedUnit>(
  format: Format<Unit>,
  rows: readonly PointRow[],
): Promise<Unit> {
  const batch = batchOfRows(format.layout, rows);
  const unit = await format.encode(batch);
  spoil(batch);
  return unit;
}

export async function assembled<Unit extends EncodedUnit>(
  format: Format<Unit>,
  units: AsyncIterable<Unit>,
): Promise<Written> {
  const chunks = format.assemble(units);
  const parts: Uint8Array[] = [];
  for (;;) {
    const step: IteratorResult<Uint8Array<ArrayBuffer>, FileSummary> = await chunks.next();
    if (step.done) return { bytes: new Uint8Array(Buffer.concat(parts)), summary: step.value };
    // A copy: the chunk's buffer is used again when the next one is asked for.
    parts.push(new Uint8Array(step.value));
  }
}

/** What is in a batch after it was encoded must not matter. */
function spoil(batch: PointBatch): void {
  batch.payload.bytes.fill(0xee);
  batch.payload.ends.fill(-1);
  for (const field of batch.fields) {
    field.starts.fill(-1);
    field.ends.fill(-1);
  }
  for (const column of batch.vectors) {
    column.values.fill(Number.NaN);
    column.present.fill(0);
    if (column.kind !== 'dense') column.ends.fill(-1);
    if (column.kind === 'sparse') column.indices.fill(0xeeeeeeee);
  }
  batch.ids.length = 0;
}
