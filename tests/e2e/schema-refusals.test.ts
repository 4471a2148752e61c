import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { exportOnce, KEPT_AT_FIRST, keptFiles } from '../support/one-export.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';
import { PROTOCOLS } from '../support/recorded-points.ts';
import type { SchemaName } from '../support/recorded-tables.ts';

setDefaultTimeout(60_000);

/** What does not fit, and what is said of it. */
interface Refused {
  readonly collection: string;
  readonly schema: SchemaName;
  readonly args?: readonly string[];
  readonly exitCode: 2 | 11;
  readonly message: string;
}

const ONE_DENSE =
  'Pinecone takes exactly one dense vector, at most one sparse vector and no multivector, and found is';

const REFUSED: readonly Refused[] = [
  {
    collection: 'plain',
    schema: 'pinecone',
    exitCode: 11,
    message:
      "Cannot write point 1 for Pinecone: payload field `metadata` is an object, and Pinecone's metadata takes strings, numbers, booleans and lists of strings. Choose a flat object with --metadata-field, or another --schema.",
  },
  {
    collection: 'named',
    schema: 'pinecone',
    exitCode: 2,
    message: `Collection \`named\` does not fit --schema pinecone: ${ONE_DENSE} a sparse vector \`bm25\`, a multivector \`colbert\`, a dense vector \`half\`, a dense vector \`image\`, a dense vector \`text\`. Choose with --vectors NAME.`,
  },
  {
    collection: 'named',
    schema: 'pinecone',
    args: ['--vectors', 'text,bm25'],
    exitCode: 11,
    message:
      'Cannot write point 3 for Pinecone: it lacks vector `text`, and Pinecone wants one in every row. Another --schema holds it.',
  },
  {
    collection: 'sparse_only',
    schema: 'pinecone',
    exitCode: 2,
    message: `Collection \`sparse_only\` does not fit --schema pinecone: ${ONE_DENSE} a sparse vector \`s\`. Choose with --vectors NAME.`,
  },
  {
    collection: 'multi',
    schema: 'pinecone',
    exitCode: 2,
    message: `Collection \`multi\` does not fit --schema pinecone: ${ONE_DENSE} an unnamed multivector. Choose with --vectors NAME.`,
  },
  {
    collection: 'named',
    schema: 'milvus',
    exitCode: 2,
    message:
      'Collection `named` does not fit --schema milvus: Milvus imports no multivectors, and found is a multivector `colbert`. Choose with --vectors NAME, or another --schema.',
  },
  {
    collection: 'named',
    schema: 'milvus',
    args: ['--vectors', 'text,bm25'],
    exitCode: 11,
    message:
      'Cannot write point 1 for Milvus: vector `bm25` has a negative value, and Milvus takes none in a sparse vector. Another --schema holds it.',
  },
  {
    collection: 'sparse_only',
    schema: 'milvus',
    exitCode: 11,
    message:
      'Cannot write point 2 for Milvus: it lacks vector `s`, and a vector field of Milvus has no NULL. Another --schema holds it.',
  },
  {
    collection: 'multi',
    schema: 'milvus',
    exitCode: 2,
    message:
      'Collection `multi` does not fit --schema milvus: Milvus imports no multivectors, and found is an unnamed multivector. Choose with --vectors NAME, or another --schema.',
  },
];

const server = await startQdrantDouble({ recorded: ['standalone'] });
afterAll(() => server.stop());

describe('a collection that a schema cannot hold is refused in one sentence, and nothing is published:', () => {
  for (const { args = [], collection, exitCode, message, schema } of REFUSED) {
    test([collection, schema, ...args].join(' '), async () => {
      for (const protocol of PROTOCOLS) {
        const run = await exportOnce(server, protocol, collection, ['--schema', schema, ...args]);
        const code = exitCode === 2 ? 'usage' : 'format';
        expect(run.error).toEqual({ code, message, exitCode });
        expect(run.code).toBe(exitCode);
        // Of a point that does not fit, the run can be gone on with when it does.
        expect(keptFiles(run)).toEqual(exitCode === 2 ? [] : KEPT_AT_FIRST);
        expect(run.resume !== undefined).toBe(exitCode === 11);
      }
    });
  }
});
