import type { PointBatch } from '../../batch.ts';
import type { CollectionShape } from '../../model.ts';
import { FileTally, type Tallied, tallyOf } from '../file-tally.ts';
import type { AssembleOptions, EncodedUnit, FileSummary, Format, PointSample } from '../format.ts';
import type { Schema, SchemaName } from '../schema/schema.ts';
import { schemaOf } from '../schema/schema-of.ts';
import { freeMember, gzipMember } from './gzip-member.ts';
import { LineBuffers } from './line-buffer.ts';
import { appendLines, cellPrefixes } from './ndjson-lines.ts';
import { denseFloats, TEXT_FACTOR, textUnitRows } from './text-unit-rows.ts';

/** For estimates, which rather err on the large side: what gzip leaves of floats' text, which is most of it. */
const GZIP_FACTOR = 0.66;
/** …of a payload, of whose JSON every quote is escaped once more. */
const ESCAPED_FACTOR = 1.15;
/** …of a line's key and its columns' names. */
const LINE_BYTES = 80;

export interface NdjsonOptions {
  readonly schema: SchemaName;
  /** Payload field that becomes the key, in schema `keyed`. */
  readonly keyField: string;
  /** Payload field that alone becomes the metadata, in schemas `keyed` and `pinecone`. */
  readonly metadataField: string | undefined;
  /** Bytes of the collection's first points. */
  readonly sample: PointSample;
}

/** The lines of one work unit. */
export interface NdjsonUnit extends EncodedUnit, Tallied {
  /** A gzip member of them; no bytes at all where there are none. */
  readonly member: Uint8Array<ArrayBuffer>;
  /** Bytes of the lines before compression. */
  readonly rawBytes: number;
  /** Bytes of the longest one, its line feed included. */
  readonly longestRow: number;
  /** Bytes that the rows have in memory, about what they take in Parquet. */
  readonly pointBytes: number;
}

/** What readers of the finished file have to know beside its rows. */
export interface NdjsonSummary extends FileSummary {
  readonly rawBytes: number;
  readonly longestRow: number;
}

export interface NdjsonFormat extends Format<NdjsonUnit> {
  assemble(
    units: AsyncIterable<NdjsonUnit>,
    options?: AssembleOptions,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, NdjsonSummary>;
}

/**
 * Gzipped NDJSON in one of the schemas: an object a row, with its columns in the schema's order and no white space; texts as
 * strings, dense vectors as `[f,…]`, multivectors as `[[f,…],…]`, sparse ones as `{"indices":[…],"values":[…]}`, and null
 * for what a row lacks. Each work unit is a gzip member (RFC 1952, section 2.2: members simply follow one another), so that
 * the file may be cut and gone on with between any two. Throws a ToolError 'usage' for a collection that the schema cannot
 * hold.
 *
 * In memory: at most 4 units' lines (line-buffer.ts), and the members of the units that the pipeline has under way, each
 * smaller than its lines.
 */
export function ndjsonFormat(shape: CollectionShape, options: NdjsonOptions): NdjsonFormat {
  const schema = schemaOf(shape, options);
  const rows = textUnitRows(shape.vectors, options.sample);
  const prefixes = cellPrefixes(schema.columns);
  const buffers = new LineBuffers();
  return {
    layout: { rows: rows.most, vectors: shape.vectors, fields: schema.fields, vectorTexts: true },
    description: describe(shape, schema),
    estimateBytes: (points, pointBytes) => estimate(shape, options.sample, points, pointBytes),
    unitRows: rows.of,
    rowsHeld: () => rows.most,
    encode: (batch) => encodeUnit(batch, schema, prefixes, buffers),
    async *assemble(units, assembling) {
      const summary = yield* assembleNdjson(units, schema, assembling);
      // What comes next, the conversion, wants this memory.
      buffers.free();
      return summary;
    },
  };
}

async function encodeUnit(
  batch: PointBatch,
  schema: Schema,
  prefixes: readonly Uint8Array[],
  buffers: LineBuffers,
): Promise<NdjsonUnit> {
  const { rowCount } = batch;
  const buffer = await buffers.take();
  try {
    const filled = schema.fill(batch);
    const { columns } = filled;
    const longestRow = appendLines(prefixes, columns, rowCount, buffer);
    const vectors = columns.flatMap((column) => (column.kind === 'text' ? [] : [column]));
    const counted = {
      rowCount,
      rawBytes: buffer.length,
      longestRow,
      pointBytes: vectors.reduce((sum, column) => sum + column.byteLength(rowCount), batch.payload.length),
      ...tallyOf(filled, rowCount),
    };
    const lines = buffer.bytes.subarray(0, buffer.length);
    return { ...counted, member: lines.length === 0 ? new Uint8Array(0) : await gzipMember(lines) };
  } finally {
    buffers.release(buffer);
  }
}

/** What a safe point says beside its place. */
interface Counts {
  readonly rawBytes: number;
  readonly longestRow: number;
  readonly tally: unknown;
}

async function* assembleNdjson(
  taken: AsyncIterable<NdjsonUnit>,
  schema: Schema,
  { from, onSafe }: AssembleOptions = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>, NdjsonSummary> {
  const tally = new FileTally(schema, onSafe !== undefined);
  const before = from?.counts as Counts | undefined;
  if (from !== undefined && before !== undefined) tally.restore(before.tally, from.memory);
  let { units, rows, bytes } = from ?? { units: 0, rows: 0, bytes: 0 };
  let { rawBytes, longestRow } = before ?? { rawBytes: 0, longestRow: 0 };
  for await (const unit of taken) {
    const { length } = unit.member;
    if (length > 0) {
      yield unit.member;
      freeMember(unit.member);
    }
    units++;
    rows += unit.rowCount;
    bytes += length;
    rawBytes += unit.rawBytes;
    longestRow = Math.max(longestRow, unit.longestRow);
    tally.take(unit, unit.pointBytes);
    if (onSafe === undefined) continue;
    const counts: Counts = { rawBytes, longestRow, tally: tally.counts() };
    onSafe({ units, rows, bytes, counts, memory: tally.memory() });
  }
  // No bytes at all would be no gzip file.
  if (bytes === 0) yield await gzipMember(new Uint8Array(0));
  return { rows, rowGroups: 0, rawBytes, longestRow, ...tally.summary() };
}

/** For people, e.g. `ndjson-gz, schema points, no vectors`. */
function describe({ vectors }: CollectionShape, { name }: Schema): string {
  return [
    'ndjson-gz',
    ...(name === 'keyed' ? [] : [`schema ${name}`]),
    ...(vectors.length === 0 ? ['no vectors'] : []),
  ].join(', ');
}

function estimate(
  { vectors }: CollectionShape,
  sample: PointSample,
  points: number,
  pointBytes: number,
): number {
  const ragged = vectors.some(({ kind }) => kind !== 'dense') ? sample.raggedVectorBytes : 0;
  const vectorBytes = Math.min(pointBytes, denseFloats(vectors) * 4 + ragged);
  const line = vectorBytes * TEXT_FACTOR + (pointBytes - vectorBytes) * ESCAPED_FACTOR + LINE_BYTES;
  return Math.ceil(points * line * GZIP_FACTOR);
}
