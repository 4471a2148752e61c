import type { PointBatch } from '../batch.ts';
import type { DenseColumn, MultiColumn, SparseColumn, VectorColumn } from '../vector-columns.ts';
import { FLOAT, FLOATS, readDenseVector, readFloats } from './grpc-floats.ts';
import { misfit, undeclared, wrongSize } from './grpc-misfit.ts';
import { readMulti } from './grpc-multi.ts';
import { SparseReader } from './grpc-sparse.ts';
import { DENSE, skipOther } from './grpc-vector-output.ts';
import { ENTRY_KEY, ENTRY_VALUE, LENGTH, type ProtoReader } from './proto-reader.ts';

/** Fields of VectorsOutput, and of the NamedVectorsOutput in it (points.proto). */
const VECTOR = (1 << 3) | LENGTH;
const NAMED_VECTORS = (2 << 3) | LENGTH;
const NAMED_ENTRY = (1 << 3) | LENGTH;

/** A column that vectors of a name go to. */
type Target = { readonly name: Buffer } & (
  | { readonly kind: 'dense'; readonly column: DenseColumn }
  | { readonly kind: 'multi'; readonly column: MultiColumn }
  | { readonly kind: 'sparse'; readonly column: SparseColumn; readonly elements: SparseReader }
);

/**
 * Reads the vectors of points into the columns of one batch, without objects on the way. What does not fit the
 * batch's declared vectors is a VectorMisfit.
 */
export class VectorReader {
  readonly #reader: ProtoReader;
  readonly #targets: readonly Target[];
  readonly #unnamed: Target | undefined;
  /** The target that the next name is compared with first. */
  #expected = 0;

  constructor(reader: ProtoReader, into: PointBatch) {
    this.#reader = reader;
    this.#targets = into.vectors.map((column) => targetOf(column, reader));
    this.#unnamed = this.#targets.find(({ name }) => name.length === 0);
  }

  /** Reads the VectorsOutput that begins at the reader and ends at `end`. */
  read(end: number, row: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === VECTOR) {
        const vectorEnd = reader.lengthEnd(end);
        if (this.#unnamed === undefined) throw undeclared('');
        this.#vector(this.#unnamed, vectorEnd, row);
      } else if (tag === NAMED_VECTORS) this.#namedVectors(reader.lengthEnd(end), row);
      else reader.skip(tag, end);
    }
    reader.ended(end);
  }

  #namedVectors(end: number, row: number): void {
    const reader = this.#reader;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === NAMED_ENTRY) this.#namedVector(reader.lengthEnd(end), row);
      else reader.skip(tag, end);
    }
    reader.ended(end);
  }

  /**
   * A map's entry, whose key and value may come in any order. A point with named vectors beside its unnamed one
   * has both here, the latter under the empty name, which encoders leave out.
   */
  #namedVector(end: number, row: number): void {
    const reader = this.#reader;
    let nameStart = end;
    let nameEnd = end;
    let valueStart = end;
    let valueEnd = end;
    while (reader.at < end) {
      const tag = reader.tag();
      if (tag === ENTRY_KEY) {
        nameEnd = reader.lengthEnd(end);
        nameStart = reader.at;
        reader.at = nameEnd;
      } else if (tag === ENTRY_VALUE) {
        valueEnd = reader.lengthEnd(end);
        valueStart = reader.at;
        reader.at = valueEnd;
      } else reader.skip(tag, end);
    }
    reader.ended(end);
    const target = this.#find(nameStart, nameEnd);
    if (target === undefined) throw undeclared(reader.bytes.toString('utf8', nameStart, nameEnd));
    reader.at = valueStart;
    this.#vector(target, valueEnd, row);
    reader.at = end;
  }

  /** A point's names come in no order, but one after the other: what follows the last one found is likely next. */
  #find(start: number, end: number): Target | undefined {
    const targets = this.#targets;
    for (let tried = 0; tried < targets.length; tried++) {
      const target = targets[this.#expected] as Target;
      this.#expected = this.#expected + 1 === targets.length ? 0 : this.#expected + 1;
      if (isName(target.name, this.#reader.bytes, start, end)) return target;
    }
    return undefined;
  }

  #vector(target: Target, end: number, row: number): void {
    const { present, spec } = target.column;
    if (present[row] === 1) throw misfit(spec, 'is there twice');
    switch (target.kind) {
      case 'dense':
        readDense(this.#reader, end, target.column, row);
        break;
      case 'multi':
        readMulti(this.#reader, end, target.column);
        break;
      case 'sparse':
        target.elements.read(end);
        break;
    }
    present[row] = 1;
  }
}

function targetOf(column: VectorColumn, reader: ProtoReader): Target {
  const name = Buffer.from(column.spec.name);
  switch (column.kind) {
    case 'dense':
      return { kind: 'dense', name, column };
    case 'multi':
      return { kind: 'multi', name, column };
    case 'sparse':
      return { kind: 'sparse', name, column, elements: new SparseReader(reader, column) };
  }
}

/** Reads a VectorOutput that ends at `end` into the row: as many floats as the collection has dimensions. */
function readDense(reader: ProtoReader, end: number, column: DenseColumn, row: number): void {
  const { spec, bytes } = column;
  const { size } = spec;
  const start = row * size * 4;
  let count = 0;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === DENSE) count = readDenseVector(reader, reader.lengthEnd(end), bytes, start, size);
    else if (tag === FLOATS || tag === FLOAT) {
      count = readFloats(reader, tag, end, bytes, start, count, size);
    } else skipOther(reader, tag, end, spec);
  }
  reader.ended(end);
  if (count !== size) throw wrongSize(spec, count);
}

function isName(name: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const { length } = name;
  if (length !== end - start) return false;
  for (let i = 0; i < length; i++) if (name[i] !== bytes[start + i]) return false;
  return true;
}
