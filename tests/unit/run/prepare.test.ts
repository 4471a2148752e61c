import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { StrictMode } from '../../../lib/model.ts';
import { prepare } from '../../../lib/run/prepare.ts';
import { parquetFormat } from '../../../lib/writers/parquet.ts';
import { planOf, shapeOf } from '../../support/plans.ts';
import { scriptedTransport } from '../../support/scripted-transport.ts';

const signal = new AbortController().signal;

/** Bytes of the payload of each point: the first ones say nothing about those after them. */
const PAYLOADS = Array.from({ length: 40 }, (_, index) => (index < 5 ? 2 : 1000 * index));

/** What the format is told of payloads, where a scroll passes only for up to `passing` points. */
async function payloadBytesSeen(passing: number, strictMode: StrictMode = {}): Promise<number | undefined> {
  const shape = shapeOf({ strictMode });
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
    planOf(),
    {
      transport,
      format: (ofShape, sample) => {
        seen = sample.payloadBytes;
        return parquetFormat(ofShape, {
          strategy: 'parquet-med',
          rowGroupRows: 10,
          compression: 'none',
          vectorEncoding: 'plain',
          schema: 'keyed',
          keyField: 'key',
          metadataField: undefined,
          createdBy: 'test',
          exportedAt: new Date(0),
          sample,
        });
      },
      destination: {
        locate: (key) => key,
        check: async () => {},
        put: () => Promise.reject(new Error('put')),
      },
      converter: undefined,
      work: undefined,
      confirm: undefined,
      tool: { name: 'test', version: '0' },
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
