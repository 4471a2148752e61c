import type { FileTally } from './file-tally.ts';
import type { SafePoint } from './format.ts';
import type { LaidGroups } from './parquet-assemble.ts';

/** The end of a row group as a place where a file may be cut and gone on with. */
export function safePointOf(groups: LaidGroups, tally: FileTally): SafePoint {
  const { units, rows, bytes, rowGroups, structs } = groups;
  return {
    units,
    rows,
    bytes,
    counts: { rowGroups, tally: tally.counts() },
    memory: framed([structs, tally.memory()]),
  };
}

/** The row groups before a safe point; brings the tally to its state there. */
export function restoreSafePoint(point: SafePoint, tally: FileTally): LaidGroups {
  const { units, rows, bytes } = point;
  const counts = point.counts as { readonly rowGroups: number; readonly tally: unknown };
  const pieces = pieceList(point.memory);
  const joined = (kind: number) => Buffer.concat(pieces.filter((_, index) => index % 2 === kind));
  tally.restore(counts.tally, joined(1));
  return { units, rows, bytes, rowGroups: counts.rowGroups, structs: new Uint8Array(joined(0)) };
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
