import type { MultiColumn } from '../vector-columns.ts';
import { FLOAT, FLOATS, readDenseVector, readFloats } from './grpc-floats.ts';
import { misfit, wrongKind, wrongSize } from './grpc-misfit.ts';
import { MULTI, OLD_COUNT, skipOther } from './grpc-vector-output.ts';
import { LENGTH, type ProtoReader } from './proto-reader.ts';

/** MultiDenseVector.vectors, each a DenseVector. */
const MULTI_VECTOR = (1 << 3) | LENGTH;

/** Reads a VectorOutput that ends at `end` into the column: a multivector, nested or flat with its vectors counted. */
export function readMulti(reader: ProtoReader, end: number, column: MultiColumn): void {
  const { spec } = column;
  // A float takes 4 bytes at least, so this is room for all that can come.
  const room = Math.floor((end - reader.at) / 4);
  column.reserve(room);
  const start = column.length * 4;
  let floats = 0;
  let vectors: number | undefined;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === MULTI) {
      vectors = readNested(reader, reader.lengthEnd(end), column);
      floats = vectors * spec.size;
    } else if (tag === OLD_COUNT) vectors = reader.varint32();
    else if (tag === FLOATS || tag === FLOAT) {
      floats = readFloats(reader, tag, end, column.bytes, start, floats, room);
    } else skipOther(reader, tag, end, spec);
  }
  reader.ended(end);
  if (vectors === undefined) throw wrongKind(spec, 'dense');
  if (floats !== vectors * spec.size) throw wrongCut(column, floats, vectors);
  column.length += floats;
}

/** How many vectors there are, each of as many floats as it must have. */
function readNested(reader: ProtoReader, end: number, column: MultiColumn): number {
  const { spec, bytes, length } = column;
  let vectors = 0;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag !== MULTI_VECTOR) {
      reader.skip(tag, end);
      continue;
    }
    const start = (length + vectors * spec.size) * 4;
    const found = readDenseVector(reader, reader.lengthEnd(end), bytes, start, spec.size);
    if (found !== spec.size) throw wrongSize(spec, found);
    vectors++;
  }
  reader.ended(end);
  return vectors;
}

function wrongCut({ spec }: MultiColumn, floats: number, vectors: number): Error {
  const size = floats / vectors;
  if (Number.isInteger(size)) return wrongSize(spec, size);
  return misfit(spec, `has ${floats} floats, which cannot be cut into ${vectors} vectors of ${spec.size}`);
}
