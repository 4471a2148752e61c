import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { exportCollection } from '../../../lib/run/export.ts';
import type { PutRequest } from '../../../lib/storage/storage.ts';
import { parquetFormat } from '../../../lib/writers/parquet/parquet.ts';
import { planOf, shapeOf } from '../../support/plans.ts';
import { scriptedTransport } from '../../support/scripted-transport.ts';

const shape = shapeOf();

/** What an export of one point rejects with, to a destination whose `put` is this. */
function endOf(put: (request: PutRequest) => Promise<never>, failing?: unknown): Promise<unknown> {
  const transport = scriptedTransport({
    describe: async () => shape,
    count: async () => 1,
    scroll: async () => undefined,
    scrollIds: async () => ({ ids: ['1'], next: undefined }),
    retrieve: async (_, ids, into) => {
      if (failing !== undefined) throw failing;
      into.payload.reserve(2).set([0x7b, 0x7d]);
      into.payload.length = 2;
      for (const id of ids) into.endRow(id);
    },
  });
  const parts = {
    transport,
    format: () =>
      parquetFormat(shape, {
        strategy: 'parquet-med',
        rowGroupRows: 10,
        splitBytes: undefined,
        compression: 'none',
        vectorEncoding: 'plain',
        schema: 'keyed',
        keyField: 'key',
        metadataField: undefined,
        createdBy: 'test',
        exportedAt: new Date(0),
        sample: { payloadBytes: 0, raggedVectorBytes: 0 },
      }),
    destination: { locate: (key: string) => key, check: async () => {}, put },
    converter: undefined,
    work: undefined,
    confirm: undefined,
    tool: { name: 'test', version: '0' },
    emit: () => {},
  } as const;
  return exportCollection(planOf(), parts, new AbortController().signal).then(
    () => 'it resolved',
    (error: unknown) => error,
  );
}

describe('exportCollection() rejects', () => {
  test('with what was thrown, also where it is an error that nobody foresaw', async () => {
    const bug = new TypeError('undefined is not a function');
    const ended = endOf(async ({ body }) => {
      await body.cancel(bug);
      throw bug;
    });
    expect(await ended).toBe(bug);
    expect(await endOf(async ({ body }) => Array.fromAsync(body) as never, bug)).toBe(bug);
  });

  test('with the error of a destination that stopped reading without a word', async () => {
    const full = new ToolError('store', 'The store is full.');
    const ended = endOf(async ({ body }) => {
      for await (const _ of body) throw full;
      throw new Error('the body was empty');
    });
    expect(await ended).toBe(full);
  });

  test('with what the destination made of the reason, when that says more', async () => {
    const lost = new ToolError('qdrant', 'Qdrant is gone.');
    let told: ToolError | undefined;
    const ended = endOf(async ({ body }) => {
      const reason = await Array.fromAsync(body).catch((error: unknown) => error);
      told = new ToolError('qdrant', 'Qdrant is gone. An upload was left open.', { cause: reason });
      throw told;
    }, lost);
    expect(await ended).toBe(told);
  });

  test('with the first reason, and not with the errors that follow from it', async () => {
    const lost = new ToolError('qdrant', 'Qdrant is gone.');
    const ended = endOf(async ({ body }) => {
      await Array.fromAsync(body).catch(() => {});
      throw new ToolError('store', 'The body broke off.');
    }, lost);
    expect(await ended).toBe(lost);
  });
});
