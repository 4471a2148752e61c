import type { CollectionShape } from '../model.ts';

/** Which of the collections that were described have one vector, without a name: a name or two for each. */
export class LoneVectors {
  readonly #collections = new Set<string>();

  learn({ name, collection, vectors }: CollectionShape): void {
    const [first, ...others] = vectors;
    for (const known of [name, collection]) {
      if (first?.name === '' && others.length === 0) this.#collections.add(known);
      else this.#collections.delete(known);
    }
  }

  has(collection: string): boolean {
    return this.#collections.has(collection);
  }
}
