import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { type RunIdentity, refuseOther } from '../../../lib/run/run-identity.ts';
import { RunJournal } from '../../../lib/run/run-journal.ts';
import { type RunHeader, stateOf } from '../../../lib/run/run-state.ts';
import { memoryJournal } from '../../support/memory-journal.ts';

const IDENTITY: RunIdentity = {
  tool: 'exporter 0',
  collection: 'docs',
  behind: 'docs',
  server: 'http://a:6334',
  serverVersion: '1.18.3',
  protocol: 'grpc',
  vectors: [],
  shardKeys: [],
  config: '{}',
  options: { schema: 'keyed', rowGroupSize: 10 },
  passes: 'two',
  target: 's3://b/k',
  way: 'streamed',
};

const HEADER: RunHeader = {
  kind: 'run',
  version: 1,
  id: 'abcd',
  identity: IDENTITY,
  startedAt: '2026-01-01T00:00:00.000Z',
  exportedAt: '2026-01-01T00:00:00.000Z',
  before: 7,
  sample: { payloadBytes: 1, raggedVectorBytes: 0 },
  files: undefined,
};

const safe = (rows: number) =>
  ({
    kind: 'safe',
    position: { set: 0, after: String(rows), idsSeen: rows, missing: 0 },
    point: { units: 1, rows, bytes: rows * 10, counts: {} },
    memoryBytes: 3,
  }) as const;
const part = (number: number) =>
  ({
    kind: 'part',
    number,
    bytes: 5,
    etag: `e${number}`,
    crc32: undefined,
    md5: undefined,
    check: `c${number}`,
  }) as const;

describe('RunJournal', () => {
  test('comes back as the newest of each, and all parts of the upload', async () => {
    const store = memoryJournal();
    const journal = new RunJournal(store.journal);
    await journal.begin(HEADER);
    await journal.append(safe(1));
    await journal.append(safe(2));
    await journal.append({ kind: 'upload', key: 'k', id: 'u', partBytes: 5, crc32: true });
    await journal.append(part(2));
    await journal.append(part(1));
    await journal.append({ kind: 'publishing', bytes: 9, etag: 'x' });
    const state = stateOf(store.reopened().records);
    expect(state?.header).toEqual(JSON.parse(JSON.stringify(HEADER)));
    expect(state?.safe?.point.rows).toBe(2);
    expect(state?.upload?.parts.map(({ number }) => number)).toEqual([2, 1]);
    expect(state?.partChecks.get(2)).toBe('c2');
    expect(state?.publishing).toEqual({ bytes: 9, etag: 'x' });
    expect(state?.published).toBeUndefined();
    expect(journal.upload?.id).toBe('u');
  });

  test('forgets an upload with all that belongs to it', async () => {
    const store = memoryJournal();
    const journal = new RunJournal(store.journal);
    await journal.begin(HEADER);
    await journal.append(safe(1));
    await journal.append({ kind: 'upload', key: 'k', id: 'u', partBytes: 5, crc32: true });
    await journal.append(part(1));
    await journal.append({ kind: 'publishing', bytes: 9, etag: 'x' });
    await journal.forgetUpload();
    const state = stateOf(store.reopened().records);
    expect(state?.upload).toBeUndefined();
    expect(state?.publishing).toBeUndefined();
    expect(state?.partChecks.size).toBe(0);
    expect(state?.safe?.point.rows).toBe(1);
  });

  test('stays small however many safe points there are, also when it is gone on with', async () => {
    let store = memoryJournal();
    let journal = new RunJournal(store.journal);
    await journal.begin(HEADER);
    for (let process = 0; process < 3; process++) {
      for (let rows = 0; rows < 1_000; rows++) await journal.append(safe(process * 1_000 + rows));
      expect(store.reopened().records.length).toBeLessThan(300);
      store = memoryJournal(store.reopened().records);
      journal = new RunJournal(store.journal);
      journal.goOn();
    }
    expect(stateOf(store.reopened().records)?.safe?.point.rows).toBe(2_999);
  });

  test('keeps every file of a split export that is stored, and forgets what its upload was', async () => {
    const store = memoryJournal();
    const journal = new RunJournal(store.journal);
    await journal.begin(HEADER);
    for (const number of [1, 0]) {
      await journal.append({ kind: 'upload', key: `k${number}`, id: 'u', partBytes: 5, crc32: true });
      await journal.append(part(1));
      await journal.append({ kind: 'publishing', key: `k${number}`, bytes: 9, etag: undefined, mark: 'm' });
      expect(stateOf(store.reopened().records)?.publishing).toEqual({
        key: `k${number}`,
        bytes: 9,
        mark: 'm',
      } as never);
      await journal.append({
        kind: 'stored',
        number,
        receipt: { location: `memory:k${number}`, bytes: 9, etag: `e${number}` },
      });
    }
    const { upload, publishing, partChecks } = stateOf(store.reopened().records) ?? {};
    expect([upload, publishing, partChecks?.size]).toEqual([undefined, undefined, 0]);
    await journal.forgetUpload();
    const states = [stateOf(store.reopened().records), journal.state];
    for (const state of states) {
      expect([...(state?.stored ?? [])].map(([number, { etag }]) => [number, etag])).toEqual([
        [1, 'e1'],
        [0, 'e0'],
      ]);
      expect(state?.upload).toBeUndefined();
      expect(state?.publishing).toBeUndefined();
    }
  });

  test('of another version is refused', () => {
    const records = [{ ...HEADER, version: 2 }];
    expect(() => stateOf(records)).toThrow('its journal is of another version of this tool');
  });
});

describe('refuseOther()', () => {
  test('takes the same run, as it comes out of a journal', () => {
    refuseOther(JSON.parse(JSON.stringify(IDENTITY)), IDENTITY);
  });

  test.each<[Partial<RunIdentity>, string]>([
    [{ tool: 'exporter 1' }, 'tool and major version exporter 0 then, exporter 1 now'],
    [{ collection: 'other' }, 'collection docs then, other now'],
    [{ behind: 'docs-2' }, 'collection behind the alias docs then, docs-2 now'],
    [{ server: 'http://b:6334' }, 'server http://a:6334 then, http://b:6334 now'],
    [{ serverVersion: '1.19.0' }, 'server version 1.18.3 then, 1.19.0 now'],
    [{ protocol: 'rest' }, 'protocol grpc then, rest now'],
    [
      { shardKeys: [{ kind: 'number', text: '1' }] },
      'shard keys [] then, [{"kind":"number","text":"1"}] now',
    ],
    [{ config: '{"a":1}' }, 'collection config {} then, {"a":1} now'],
    [{ options: { schema: 'points', rowGroupSize: 10 } }, '--schema keyed then, points now'],
    [{ options: { schema: 'keyed', rowGroupSize: 20 } }, '--row-group-size 10 then, 20 now'],
    [{ options: { schema: 'keyed', rowGroupSize: 10, limit: 3 } }, '--limit none then, 3 now'],
    [{ passes: 'one' }, 'passes two then, one now'],
    [{ target: 's3://b/other' }, 'target s3://b/k then, s3://b/other now'],
    [{ way: 'by work file' }, 'upload streamed then, by work file now'],
  ])('spells out %j', (other, difference) => {
    const refused = (() => {
      try {
        refuseOther(IDENTITY, { ...IDENTITY, ...other });
        return undefined;
      } catch (error) {
        return error as ToolError;
      }
    })();
    expect(refused).toBeInstanceOf(ToolError);
    expect(refused?.code).toBe('usage');
    expect(refused?.message).toContain(`: ${difference}. Run it with the same settings`);
  });
});
