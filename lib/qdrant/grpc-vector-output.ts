import type { VectorSpec } from '../model.ts';
import { misfit, wrongKind } from './grpc-misfit.ts';
import { LENGTH, type ProtoReader } from './proto-reader.ts';

/*
 * Fields of VectorOutput (points.proto), read by presence: servers up to 1.16 fill data (1), with indices (2) when
 * the vector is sparse and vectors_count (3) when it is a multivector; from 1.17 on only the oneof dense (101),
 * sparse (102), multi_dense (103). Where both were there the oneof would count, as in Qdrant's own clients.
 */
export const OLD_INDICES = (2 << 3) | LENGTH;
export const OLD_COUNT = 3 << 3;
export const DENSE = (101 << 3) | LENGTH;
export const SPARSE = (102 << 3) | LENGTH;
export const MULTI = (103 << 3) | LENGTH;

/** Skips a field of VectorOutput that no vector of the declared kind has, unless it makes it another kind. */
export function skipOther(reader: ProtoReader, tag: number, end: number, spec: VectorSpec): void {
  if (tag === DENSE) throw wrongKind(spec, 'dense');
  if (tag === SPARSE || tag === OLD_INDICES) throw wrongKind(spec, 'sparse');
  if (tag === MULTI || tag === OLD_COUNT) throw wrongKind(spec, 'multi');
  // A further member of the oneof must become neither a NULL nor an empty vector.
  if (tag >>> 3 > MULTI >>> 3) throw misfit(spec, 'is in a form that this version cannot read');
  reader.skip(tag, end);
}
