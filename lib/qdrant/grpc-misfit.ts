import type { VectorSpec } from '../model.ts';

/**
 * A vector that is not what the collection declared when the export began. The message goes on where a sentence
 * has named the point; whoever knows the point makes a ToolError of it.
 */
export class VectorMisfit extends Error {
  override readonly name = 'VectorMisfit';
}

export function misfit(spec: VectorSpec, what: string): VectorMisfit {
  return new VectorMisfit(`its vector${spec.name === '' ? '' : ` \`${spec.name}\``} ${what}`);
}

export function wrongSize(spec: VectorSpec, found: number): VectorMisfit {
  return misfit(spec, `is of ${found} dimensions where the collection has ${spec.size}`);
}

const KINDS = { dense: 'a dense one', multi: 'a multivector', sparse: 'a sparse one' } as const;

export function wrongKind(spec: VectorSpec, found: VectorSpec['kind']): VectorMisfit {
  return misfit(spec, `is ${KINDS[found]} where the collection has ${KINDS[spec.kind]}`);
}

/** A vector that was not asked for, so it was not there when the export began. */
export function undeclared(name: string): VectorMisfit {
  const vector = name === '' ? 'unnamed vector' : `vector \`${name}\``;
  return new VectorMisfit(
    `it has the ${vector}, which was not there when the export began: the collection's vectors changed meanwhile`,
  );
}
