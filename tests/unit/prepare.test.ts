import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../lib/errors.ts';
import type { CollectionShape, StrictMode } from '../../lib/model.ts';
import { prepare } from '../../lib/prepare.ts';
import { parquetFormat } from '../../lib/writers/parquet.ts';
import { scriptedTransport } from '../support/scripted-transport.ts';

const signal = new AbortController().signal;

/** Bytes of the payload of each point: the first ones say nothing about those after them. */
const PAYLOADS = Array.from({ length: 40 }, (_, index) => (index < 5 ? 2 : 1000 * index));

/** What the format is told of payloads, where a scroll passes only for up to `passing` points. */
async function payloadBytesSeen(passing: number, strictMode: StrictMode = {}): Promise<number | undefined> {
  const shape: CollectionShape = {
    name: 'c',
    serverVersion: '1.18.3',
    vectors: [{ kind: 'dense', name: '', size: 2, distance: 'Dot', datatype: 'float32' }],
    shardCount: 1,
    sharding: 'auto',
    strictMode,
  };
  const transport = scriptedTransport({
    describe: async () => shape,
    count: async () => PAYLOADS.length,
    scroll: async (_, { offset, limit }, into) => {
      if (limit > passing) throw new ToolError('qdrant', 'too large', { remedy: 'smaller' });
      const from = Number(offset ?? 0);
      for (const [index, bytes] of PAYLOADS.slice(from, from + limit).entries()) {
        into.payload.reserve(bytes);
        into.payload.length += bytes;
        into.endRow(String(from + index));
      }
      return from + limit < PAYLOADS.length ? String(from + limit) : undefined;
    },
  });
  let seen: number | undefined;
  await prepare(
    {
      collection: 'c',
      batchSize: 10,
      retrieveBatch: undefined,
      parallel: 1,
      passes: 'two',
      key: 'k',
      streaming: true,
      dryRun: false,
    },
    {
      transport,
      format: (ofShape, payloadBytes) => {
        seen = payloadBytes;
        return parquetFormat(ofShape, {
          strategy: 'parquet-med',
          rowGroupRows: 10,
          compression: 'none',
          vectorEncoding: 'plain',
          keyField: 'key',
          createdBy: 'test',
          exportedAt: new Date(0),
          payloadBytes,
        });
      },
      destination: {
        locate: (key) => key,
        check: async () => {},
        put: () => Promise.reject(new Error('put')),
      },
      workFile: undefined,
      emit: () => {},
    },
    signal,
  );
  return seen;
}

describe('prepare()', () => {
  test('judges payloads by the same first points, however many pages they come in', async () => {
    const wanted = await payloadBytesSeen(100);
    expect(wanted).toBeGreaterThan(2);
    for (const passing of [1, 3, 10]) expect(await payloadBytesSeen(passing)).toBe(wanted as number);
    expect(await payloadBytesSeen(100, { maxQueryLimit: 5 })).toBe(wanted as number);
  });
});
