import { expect } from 'bun:test';
import { expectColumns } from './expect-columns.ts';
import { exportOnce, type Outcome } from './one-export.ts';
import type { GeneratedCollection } from './qdrant-double/generated-id.ts';
import {
  type QdrantDouble,
  type QdrantDoubleOptions,
  startQdrantDouble,
} from './qdrant-double/qdrant-double.ts';
import type { RequestRecord } from './qdrant-double/request-record.ts';
import { PROTOCOLS, type Protocol, recordedCollection } from './recorded-points.ts';
import { recordedTable, type Taken, testColumns } from './recorded-tables.ts';

export interface Over extends Outcome {
  readonly protocol: Protocol;
}

export interface BothServers {
  /** The same run over both protocols at once. */
  over(collection: string, args: readonly string[]): Promise<readonly Over[]>;
  stop(): Promise<void>;
}

/** A server for each protocol, so that each remembers the requests of one run alone. */
export async function startBoth(options: QdrantDoubleOptions): Promise<BothServers> {
  const servers = await Promise.all(
    PROTOCOLS.map(async (protocol) => ({ protocol, server: await startQdrantDouble(options) })),
  );
  return {
    over: (collection, args) =>
      Promise.all(
        servers.map(async ({ protocol, server }) => ({
          protocol,
          ...(await exportOnce(server, protocol, collection, args)),
        })),
      ),
    async stop() {
      for (const { server } of servers) await server.stop();
    },
  };
}

/** Vectors of every kind, which a change or a lie can be about. */
export const EVERY_KIND: GeneratedCollection = {
  name: 'named',
  points: 300,
  dimensions: 0,
  ids: 'mixed',
  vectors: [
    { kind: 'multi', name: 'm', size: 3 },
    { kind: 'sparse', name: 's', entries: 5 },
    { kind: 'dense', name: 'text', size: 4 },
  ],
};

/** Several pages, several retrieves, one after the other: what happens in between is always the same. */
const IN_STEPS = ['--batch-size', '60', '--retrieve-batch', '30', '--parallel', '1'];

/** Exports over both protocols, each from a new server to which the same happens. */
export function exportWhile(
  collection: GeneratedCollection,
  arrange: (server: QdrantDouble) => void,
  args: readonly string[],
): Promise<readonly Over[]> {
  return Promise.all(
    PROTOCOLS.map(async (protocol) => {
      const server = await startQdrantDouble({ generated: [collection] });
      try {
        arrange(server);
        return { protocol, ...(await exportOnce(server, protocol, collection.name, [...IN_STEPS, ...args])) };
      } finally {
        await server.stop();
      }
    }),
  );
}

/** Requests for points or their ids. */
export function readsOf({ requests }: Outcome): readonly RequestRecord[] {
  return requests.filter(({ method }) => method === 'scroll' || method === 'retrieve');
}

export function countsOf({ requests }: Outcome): readonly RequestRecord[] {
  return requests.filter(({ method }) => method === 'count');
}

/** Expects the recorded rows, and a manifest that counts them. */
export function expectRecorded(run: Over, collection: string, taken: Taken): void {
  expect(run.error).toBeUndefined();
  const table = recordedTable(recordedCollection(collection, '1.18.3', run.protocol), taken);
  expectColumns(run.columns ?? {}, testColumns(table));
  const { rows } = table;
  expect(run.manifest.counts).toMatchObject({ before: rows, after: rows, idsSeen: rows, rows });
}

/** Expects exit code 2 with these words, and nothing written. */
export function expectRefused(runs: readonly Over[], message: string | RegExp): void {
  expect(runs).toHaveLength(PROTOCOLS.length);
  for (const { code, error, left } of runs) {
    expect({ code, left }).toEqual({ code: 2, left: [] });
    if (typeof message === 'string') expect(error?.message).toBe(message);
    else expect(error?.message).toMatch(message);
  }
}

/** Expects exit code 13 with one sentence, and nothing published: no file, no manifest, no half of either. */
export function expectNothingPublished(runs: readonly Over[], message: RegExp): void {
  expect(runs).toHaveLength(PROTOCOLS.length);
  for (const { code, error, left, protocol, stderr } of runs) {
    expect({ protocol, code, left, error }).toEqual({
      protocol,
      code: 13,
      left: [],
      error: { code: 'integrity', exitCode: 13, message: expect.stringMatching(message) },
    });
    const said = error?.message ?? '';
    // One line, which ends as a sentence does, and once.
    expect(said).toMatch(/^[^\n]*[^.?!]\.$/);
    expect(stderr.replace(/\s+/g, ' ')).toContain(said);
    expect(stderr).not.toMatch(/\n +at /);
  }
}
