import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import type { CollectionShape } from '../../../../lib/model.ts';
import type { ParquetOptions } from '../../../../lib/writers/parquet/parquet.ts';
import { shapeWith, vectorSpec } from '../../../support/point-rows.ts';
import { schemaFiles } from '../../../support/schema-files.ts';

let files: Awaited<ReturnType<typeof schemaFiles>>;
beforeAll(async () => {
  files = await schemaFiles();
});
afterAll(() => files.remove());

async function keyValues(shape: CollectionShape, options: Partial<ParquetOptions>) {
  const { path } = await files.write(shape, [], options);
  const { key_value_metadata } = await parquetMetadataAsync(await asyncBufferFromFile(path));
  return key_value_metadata?.map(({ key, value }) => [key, value]);
}

describe('the file’s key-value metadata', () => {
  test('names the collection, its config and vectors, the server, the schema, the tool and the time', async () => {
    const shape = shapeWith(
      [
        { kind: 'dense', name: '', size: 4, distance: 'Euclid', datatype: 'float32' },
        { kind: 'multi', name: 'tokens', size: 128, distance: 'Cosine', datatype: 'float16' },
        { kind: 'sparse', name: 'bm25', size: 0, distance: '', datatype: 'float32' },
      ],
      { name: 'the alias', collection: 'the collection', config: '{"params":{"on_disk_payload":true}}' },
    );
    const exportedAt = new Date('2026-02-03T04:05:06.007Z');
    expect(await keyValues(shape, { schema: 'points', exportedAt })).toEqual([
      ['qdrant.collection', 'the alias'],
      ['qdrant.collection_config', '{"params":{"on_disk_payload":true}}'],
      [
        'qdrant.vectors',
        '{"vector":{"name":"","kind":"dense","size":4,"distance":"Euclid","datatype":"float32"},' +
          '"vector_tokens":{"name":"tokens","kind":"multi","size":128,"distance":"Cosine","datatype":"float16"},' +
          '"vector_bm25":{"name":"bm25","kind":"sparse","datatype":"float32"}}',
      ],
      ['qdrant.server_version', '1.18.3'],
      ['qdrant.schema', 'points'],
      ['qdrant.exporter', 'qdrant-export-tools test'],
      ['qdrant.exported_at', '2026-02-03T04:05:06.007Z'],
    ]);
  });

  test('lists the shard keys of custom sharding, numbers with every digit and keywords as strings', async () => {
    const shape = shapeWith([], {
      sharding: 'custom',
      shardKeys: [
        { kind: 'number', text: '7' },
        { kind: 'number', text: '18446744073709551615' },
        { kind: 'keyword', text: '7' },
        { kind: 'keyword', text: 'a "b"' },
      ],
    });
    const found = await keyValues(shape, { schema: 'keyed' });
    expect(found?.slice(2, 4)).toEqual([
      ['qdrant.vectors', '{}'],
      ['qdrant.shard_keys', '[7,18446744073709551615,"7","a \\"b\\""]'],
    ]);
  });

  test('calls vectors by the columns that they have in this schema', async () => {
    const shape = shapeWith([vectorSpec('sparse', 's'), vectorSpec('dense', 'd', 2)]);
    const found = await keyValues(shape, { schema: 'pinecone' });
    expect(found?.slice(2, 5)).toEqual([
      [
        'qdrant.vectors',
        '{"values":{"name":"d","kind":"dense","size":2,"distance":"Dot","datatype":"float32"},' +
          '"sparse_values":{"name":"s","kind":"sparse","datatype":"float32"}}',
      ],
      ['qdrant.server_version', '1.18.3'],
      ['qdrant.schema', 'pinecone'],
    ]);
  });
});
