import { PointBatch } from '../../../lib/batch.ts';
import { ToolError } from '../../../lib/errors.ts';
import type { VectorSpec } from '../../../lib/model.ts';
import type { VectorColumn } from '../../../lib/vector-columns.ts';
import { canonicalText, parseSpelled, Spelled } from './canonical-oracle.ts';

type Floats = readonly number[];
type VectorValue = Floats | readonly Floats[] | { readonly indices: Floats; readonly values: Floats };

/** A point in plain values to compare; vectors by name, null where it has none. */
export interface PlainRow {
  readonly id: string;
  readonly payload: string;
  readonly vectors: Readonly<Record<string, VectorValue | null>>;
}

export function specOf(kind: VectorSpec['kind'], name: string, size: number): VectorSpec {
  return { kind, name, size: kind === 'sparse' ? 0 : size, distance: 'Dot', datatype: 'float32' };
}

export function emptyBatch(
  vectors: readonly VectorSpec[],
  fields: readonly string[] = [],
  rows = 100,
): PointBatch {
  return new PointBatch({ rows, vectors, fields });
}

/** What a batch holds. */
export function rowsOf(batch: PointBatch): readonly PlainRow[] {
  return batch.ids.map((id, row) => ({
    id,
    payload: payloadOf(batch, row),
    vectors: Object.fromEntries(batch.vectors.map((column) => [column.spec.name, valueAt(column, row)])),
  }));
}

export function payloadOf({ payload }: PointBatch, row: number): string {
  const bytes = payload.bytes.subarray(payload.start(row), payload.end(row));
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

function valueAt(column: VectorColumn, row: number): VectorValue | null {
  if (column.present[row] !== 1) return null;
  const { size } = column.spec;
  if (column.kind === 'dense') return [...column.values.subarray(row * size, (row + 1) * size)];
  const start = row === 0 ? 0 : (column.ends[row - 1] as number);
  const end = column.ends[row] as number;
  const values = [...column.values.subarray(start, end)];
  if (column.kind === 'sparse') return { indices: [...column.indices.subarray(start, end)], values };
  return Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
}

interface SpelledPoint {
  readonly id: Spelled | string;
  readonly payload?: unknown;
  readonly vector?: unknown;
}

/** What an answer to scroll or retrieve holds, by JSON.parse alone: floats as Math.fround makes them. */
export function rowsOfAnswer(text: string, specs: readonly VectorSpec[]): readonly PlainRow[] {
  const { result } = parseSpelled(text) as { result: SpelledPoint[] | { points: SpelledPoint[] } };
  return (Array.isArray(result) ? result : result.points).map(({ id, payload, vector }) => ({
    id: id instanceof Spelled ? id.source : id.toLowerCase(),
    payload: canonicalText(payload ?? {}),
    vectors: Object.fromEntries(specs.map((spec) => [spec.name, vectorIn(vector, spec)])),
  }));
}

function vectorIn(vector: unknown, { name, kind }: VectorSpec): VectorValue | null {
  const unnamed = name === '' && Array.isArray(vector) ? vector : undefined;
  const named = Array.isArray(vector) ? undefined : (vector as Record<string, unknown> | null)?.[name];
  const value = unnamed ?? named ?? null;
  if (value === null) return null;
  if (kind === 'dense') return (value as Spelled[]).map(floatOf);
  if (kind === 'multi') return (value as Spelled[][]).map((inner) => inner.map(floatOf));
  const { indices, values } = value as Record<'indices' | 'values', Spelled[]>;
  return { indices: indices.map(({ source }) => Number(source)), values: values.map(floatOf) };
}

function floatOf({ source }: Spelled): number {
  return Math.fround(Number(source));
}

/** The ToolError that `action` throws. */
export function errorOf(action: () => unknown): ToolError {
  try {
    action();
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
