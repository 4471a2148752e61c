import type { FileTally } from '../file-tally.ts';
import type { FilePart, SafePoint } from '../format.ts';
import type { LaidGroups } from './parquet-assemble.ts';

/** Whether a run makes one file, or files of at most so many bytes: what a safe point remembers differs by a piece. */
export type Laying = 'one file' | 'several files';

/** What a safe point remembers, piece by piece: row groups of the file being laid, the tally, files that became whole. */
const PIECES = { 'one file': 2, 'several files': 3 } as const;

/** The end of a row group, or of its file, as a place where the bytes may be cut and gone on with. */
export function safePointOf(groups: LaidGroups, tally: FileTally, laying: Laying): SafePoint {
  const { units, rows, bytes, rowGroups, structs, parts } = groups;
  const pieces = [structs, tally.memory(), partBytes(parts)];
  return {
    units,
    rows,
    bytes,
    counts: { rowGroups, tally: tally.counts() },
    memory: framed(pieces.slice(0, PIECES[laying])),
  };
}

/** What was laid before a safe point; brings the tally to its state there. */
export function restoreSafePoint(point: SafePoint, tally: FileTally, laying: Laying): LaidGroups {
  const { units, rows, bytes } = point;
  const counts = point.counts as { readonly rowGroups: number; readonly tally: unknown };
  const pieces = pieceList(point.memory);
  const tallied: Uint8Array[] = [];
  const parts: FilePart[] = [];
  let structs: Uint8Array[] = [];
  for (let at = 0; at < pieces.length; at += PIECES[laying]) {
    const [ofGroups, ofTally, ofParts = new Uint8Array(0)] = pieces.slice(at, at + PIECES[laying]);
    const whole = partsOf(ofParts);
    // Row groups that are told of with a file that became whole are of the next one.
    if (whole.length > 0) structs = [];
    structs.push(ofGroups as Uint8Array);
    tallied.push(ofTally as Uint8Array);
    parts.push(...whole);
  }
  tally.restore(counts.tally, Buffer.concat(tallied));
  const joined = new Uint8Array(Buffer.concat(structs));
  return { units, rows, bytes, rowGroups: counts.rowGroups, parts, structs: joined };
}

/** Three numbers a file, 8 bytes each, little-endian. */
const PART_BYTES = 24;

function partBytes(parts: readonly FilePart[]): Uint8Array {
  const bytes = new Uint8Array(parts.length * PART_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, part] of parts.entries()) {
    const at = index * PART_BYTES;
    view.setBigUint64(at, BigInt(part.bytes), true);
    view.setBigUint64(at + 8, BigInt(part.rows), true);
    view.setBigUint64(at + 16, BigInt(part.rowGroups), true);
  }
  return bytes;
}

function partsOf(bytes: Uint8Array): readonly FilePart[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / PART_BYTES }, (_, index) => {
    const number = (field: number) => Number(view.getBigUint64(index * PART_BYTES + 8 * field, true));
    return { bytes: number(0), rows: number(1), rowGroups: number(2) };
  });
}

const LENGTH_BYTES = 4;

/** Each piece behind its length, 4 bytes, little-endian. */
function framed(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + LENGTH_BYTES + piece.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const piece of pieces) {
    view.setUint32(at, piece.length, true);
    bytes.set(piece, at + LENGTH_BYTES);
    at += LENGTH_BYTES + piece.length;
  }
  return bytes;
}

function pieceList(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + LENGTH_BYTES + view.getUint32(at, true);
    pieces.push(bytes.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  return pieces;
}
