import { freeNow } from '../../free-now.ts';
import type { FilePart } from '../format.ts';
import type { ColumnSpec } from './parquet-columns.ts';
import { FileRoom } from './parquet-file-room.ts';
import { FooterWriter } from './parquet-footer.ts';
import { type EncodedPage, encodedBytes, type ParquetUnit } from './parquet-page.ts';
import { RowGroup, waitingBytes } from './parquet-row-group.ts';
import { leavesOf } from './parquet-schema.ts';

const MAGIC = new Uint8Array([0x50, 0x41, 0x52, 0x31]);

export interface AssembleOptions<Unit extends ParquetUnit = ParquetUnit> {
  readonly columns: readonly ColumnSpec[];
  readonly codec: number;
  readonly rowGroupRows: number;
  /** Most bytes of a file, of which there are then as many as it takes, end to end; undefined = one file. */
  readonly splitBytes?: number | undefined;
  readonly createdBy: string;
  readonly keyValues: readonly { readonly key: string; readonly value: string }[];
  /** Called with a pooled page buffer once the page was taken. */
  readonly release: (buffer: Uint8Array<ArrayBuffer>) => void;
  /** What was laid already; the bytes that are made go on behind it. */
  readonly from?: LaidGroups | undefined;
  /** Called with a unit and its bytes when it becomes part of a row group. */
  readonly onTake?: ((unit: Unit, bytes: number) => void) | undefined;
  /**
   * Called when all bytes of a row group, and of those before it, were taken: those of its file's end as well where that
   * comes next. Each time there are more units than the last.
   */
  readonly onGroup?: ((groups: LaidGroups) => void) | undefined;
}

/** The row groups that were laid so far. */
export interface LaidGroups extends Laid {
  readonly units: number;
  /** Where the last of them ends, or its file, counted from the start of the first file. */
  readonly bytes: number;
  /** Files that are whole; in `onGroup` only those since its last call. */
  readonly parts: readonly FilePart[];
  /** What the footer of the next file will say of its row groups; in `onGroup` only of those since its last call. */
  readonly structs: Uint8Array<ArrayBuffer>;
}

/** What was laid, in all files together. */
export interface Laid {
  readonly rows: number;
  readonly rowGroups: number;
  /** Undefined where everything is in one file, whatever its size. */
  readonly parts?: readonly FilePart[] | undefined;
}

/**
 * Lays units into one Parquet file, or into several of at most so many bytes. A chunk is taken when the next one is asked
 * for; its buffer is then used again. Where row groups and files end depends on the rows' contents alone. Throws a
 * ToolError 'usage' for a unit that no file of so many bytes holds.
 */
export async function* assembleParquet<Unit extends ParquetUnit>(
  units: AsyncIterable<Unit>,
  options: AssembleOptions<Unit>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, Laid> {
  const { from, splitBytes } = options;
  const leaves = options.columns.flatMap(leavesOf);
  const room = splitBytes === undefined ? undefined : new FileRoom(splitBytes, leaves, options);
  /** Files that are whole: some 100 bytes each, 2 kB a gigabyte in files of 45 MB. */
  const parts: FilePart[] = [...(from?.parts ?? [])];
  let before = sumOf(parts);
  /** Of the file that is being laid, as its offset; 0 where it was not begun. */
  let footer = new FooterWriter(options.codec);
  let offset = (from?.bytes ?? 0) - before.bytes;
  let group = new RowGroup(leaves);
  let taken = from?.units ?? 0;
  const told = { structBytes: from?.structs.length ?? 0, parts: parts.length, all: true };
  if (from === undefined) yield* beginFile();
  else footer.restore(from.structs, from.rowGroups - before.rowGroups, from.rows - before.rows);
  for await (const unit of units) {
    const bytes = waitingBytes(unit);
    if (group.isFullFor(unit, bytes, options.rowGroupRows)) yield* closeGroup();
    if (room !== undefined && unit.rowCount > 0) yield* makeRoom(room, unit);
    tell();
    const size = encodedBytes(unit);
    group.take(unit, bytes, size);
    taken++;
    options.onTake?.(unit, size);
  }
  if (group.rows > 0) yield* closeGroup();
  tell();
  // Not begun where an earlier run had laid all there was.
  if (offset > 0) yield* closeFile();
  const { rows, rowGroups } = before;
  return { rows, rowGroups, parts: room === undefined ? undefined : parts };

  async function* makeRoom(files: FileRoom, unit: Unit): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { structBytes } = footer;
    if (offset > 0 && files.holds({ offset, structBytes, group }, unit)) return;
    const empty = { offset: MAGIC.length, structBytes: 0, group: new RowGroup(leaves) };
    files.checkAlone(empty, unit, before.rows + footer.rowCount + group.rows + 1);
    if (group.rows > 0) yield* closeGroup();
    if (offset > 0) yield* closeFile();
    tell();
    yield* beginFile();
  }

  async function* beginFile(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    offset = MAGIC.length;
    yield MAGIC;
  }

  async function* closeGroup(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (const [leaf, pages] of group.waiting.entries()) {
      for (const page of pages) yield* emit(page, leaf);
    }
    const indexes = footer.add(group.chunks, group.rows, offset);
    offset += indexes.length;
    if (indexes.length > 0) yield indexes;
    group = new RowGroup(leaves);
    told.all = false;
  }

  async function* emit(page: EncodedPage, leaf: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    group.note(leaf, page, offset);
    offset += page.header.length + page.body.length;
    yield page.header;
    yield page.body;
    if (page.pooled === undefined) freeNow(page.body);
    else options.release(page.pooled);
  }

  async function* closeFile(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const end = footer.finish(options.columns, options.createdBy, options.keyValues);
    const { rowCount: rows, rowGroupCount: rowGroups } = footer;
    const part = { bytes: offset + end.length, rows, rowGroups };
    if (rows === 0) room?.checkEmpty(part.bytes);
    yield end;
    parts.push(part);
    before = sumOf([before, part]);
    footer = new FooterWriter(options.codec);
    offset = 0;
    told.structBytes = 0;
  }

  function tell(): void {
    if (options.onGroup === undefined || told.all) return;
    const structs = footer.structs(told.structBytes);
    const whole = parts.slice(told.parts);
    told.structBytes += structs.length;
    told.parts += whole.length;
    told.all = true;
    options.onGroup({
      units: taken,
      rows: before.rows + footer.rowCount,
      rowGroups: before.rowGroups + footer.rowGroupCount,
      bytes: before.bytes + offset,
      parts: whole,
      structs,
    });
  }
}

function sumOf(parts: readonly FilePart[]): FilePart {
  const sum = { bytes: 0, rows: 0, rowGroups: 0 };
  for (const { bytes, rows, rowGroups } of parts) {
    sum.bytes += bytes;
    sum.rows += rows;
    sum.rowGroups += rowGroups;
  }
  return sum;
}
