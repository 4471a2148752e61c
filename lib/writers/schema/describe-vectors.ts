import type { VectorSpec } from '../../model.ts';

const KINDS = { dense: 'dense vector', multi: 'multivector', sparse: 'sparse vector' } as const;

/** For sentences: ``an unnamed dense vector, a multivector `m` ``, or `no vector`. */
export function describeVectors(vectors: readonly VectorSpec[]): string {
  if (vectors.length === 0) return 'no vector';
  return vectors
    .map(({ kind, name }) => (name === '' ? `an unnamed ${KINDS[kind]}` : `a ${KINDS[kind]} \`${name}\``))
    .join(', ');
}

/** For sentences about one of them. */
export function vectorWords({ name }: VectorSpec): string {
  return name === '' ? 'the unnamed vector' : `vector \`${name}\``;
}
