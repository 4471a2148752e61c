import { afterAll, describe, expect, test } from 'bun:test';
import { PointBatch } from '../../lib/batch.ts';
import { ToolError } from '../../lib/errors.ts';
import type { CollectionShape } from '../../lib/model.ts';
import { connectQdrant } from '../../lib/qdrant/connect.ts';
import type { Transport } from '../../lib/qdrant/transport.ts';
import type { RetryPolicy } from '../../lib/retry.ts';
import { pointsOf } from '../support/point-sets.ts';
import type { Change } from '../support/qdrant-double/change.ts';
import type { WrongContents } from '../support/qdrant-double/fault.ts';
import type { GeneratedCollection } from '../support/qdrant-double/generated-id.ts';
import { startQdrantDouble } from '../support/qdrant-double/qdrant-double.ts';

const signal = new AbortController().signal;
const THRICE: RetryPolicy = { attempts: 3, toldPauses: 0, baseMs: 1, capMs: 1 };
const VERSIONS = ['1.16.3', '1.18.3'] as const;
const IDS = ['1', '4', '7', '10'];
const PAGE = { offset: undefined, limit: 4 } as const;

const NAMED: GeneratedCollection = {
  name: 'c',
  points: 4,
  dimensions: 0,
  vectors: [
    { kind: 'dense', name: 'text', size: 4 },
    { kind: 'multi', name: 'colbert', size: 2 },
    { kind: 'sparse', name: 'bm25' },
  ],
};
const PLAIN: GeneratedCollection = { name: 'c', points: 4, dimensions: 4 };

const stops: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function started(collection: GeneratedCollection, version: (typeof VERSIONS)[number] = '1.18.3') {
  const server = await startQdrantDouble({ version, generated: [collection] });
  stops.push(() => server.stop());
  const transport = await connectQdrant('grpc', {
    url: new URL(server.grpcUrl),
    apiKey: undefined,
    caCertificate: undefined,
    timeoutSeconds: 5,
    retryPolicy: THRICE,
  });
  stops.push(() => transport.close());
  return { server, transport, shape: await transport.describe('c', signal) };
}

/** The errors of reading the collection's points in both ways, which leave what was read before alone. */
async function errorsOf(transport: Transport, { vectors }: CollectionShape): Promise<readonly ToolError[]> {
  const errors: ToolError[] = [];
  for (const read of [
    (into: PointBatch) => transport.retrieve(pointsOf('c'), IDS, into, signal),
    (into: PointBatch) => transport.scroll(pointsOf('c'), PAGE, into, signal),
  ]) {
    const batch = new PointBatch({ rows: 4, vectors, fields: [] });
    const error = await read(batch).then(
      () => new Error('nothing was thrown'),
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof ToolError)) throw error;
    expect(batch.rowCount).toBe(0);
    expect(batch.byteLength).toBe(0);
    errors.push(error);
  }
  return errors;
}

describe('vectors that change while they are read', () => {
  test('are an integrity error at once when one was dropped', async () => {
    for (const name of ['text', 'colbert', 'bm25']) {
      const { server, transport, shape } = await started(NAMED);
      server.change('c', { kind: 'dropVector', name });
      const before = server.requests.length;
      for (const error of await errorsOf(transport, shape)) {
        expect(error.code).toBe('integrity');
        expect(error.message).toEndWith(
          `: its vector \`${name}\` is gone; the collection's vectors changed while it was being exported. Export it again.`,
        );
      }
      // Asked once each: no further attempt brings it back.
      expect(server.requests.length).toBe(before + 2);
    }
  });

  test('are an integrity error when one was added to a collection of one unnamed vector', async () => {
    const { server, transport, shape } = await started(PLAIN);
    const vector = { kind: 'sparse', name: 'new' } as const;
    server.change('c', { kind: 'addVector', vector } satisfies Change);
    for (const error of await errorsOf(transport, shape)) {
      expect(error.code).toBe('integrity');
      expect(error.message).toBe(
        "Cannot read point 1: it has the vector `new`, which was not there when the export began: the collection's vectors changed meanwhile.",
      );
    }
  });

  test('do not matter where they were not asked for', async () => {
    const { server, transport, shape } = await started(NAMED);
    server.change('c', { kind: 'dropVector', name: 'text' });
    const vectors = shape.vectors.filter(({ name }) => name !== 'text');
    const batch = new PointBatch({ rows: 4, vectors, fields: [] });
    await transport.retrieve(pointsOf('c'), IDS, batch, signal);
    expect([...batch.ids]).toEqual(IDS);
  });
});

for (const version of VERSIONS) {
  describe(`an answer of ${version} that does not fit the collection`, () => {
    async function errors(wrong: WrongContents, vector: string): Promise<readonly ToolError[]> {
      const { server, transport, shape } = await started(NAMED, version);
      server.setFaults(({ method }) =>
        method === 'retrieve' || method === 'scroll' ? { kind: 'contents', wrong, at: 1, vector } : undefined,
      );
      return errorsOf(transport, shape);
    }

    test.each([
      [
        'vectorLength',
        'text',
        /^Cannot read point 4: its vector `text` is of 3 dimensions where the collection has 4\.$/,
      ],
      [
        'vectorLength',
        'colbert',
        /^Cannot read point 4: its vector `colbert` (is of 1 dimensions|has 3 floats)/,
      ],
      ['vectorLength', 'bm25', /^Cannot read point 4: its vector `bm25` has \d+ indices and \d+ values\.$/],
      [
        'vectorKind',
        'text',
        /^Cannot read point 4: its vector `text` is a sparse one where the collection has a dense one\.$/,
      ],
      [
        'vectorKind',
        'colbert',
        /^Cannot read point 4: its vector `colbert` is a dense one where the collection has a multivector\.$/,
      ],
      [
        'vectorKind',
        'bm25',
        /^Cannot read point 4: its vector `bm25` is a dense one where the collection has a sparse one\.$/,
      ],
      ['vectorUnknown', 'text', /^Cannot read point 4: it has the vector `stranger`, which was not there/],
    ] as const)('is an integrity error that names the point: %s of `%s`', async (wrong, vector, message) => {
      for (const error of await errors(wrong, vector)) {
        expect(error.code).toBe('integrity');
        expect(error.remedy).toBe('none');
        expect(error.message).toMatch(message);
      }
    });
  });
}
