import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import { Checkpoints } from '../../../lib/run/checkpoints.ts';
import { RollingCheck } from '../../../lib/run/rolling-check.ts';
import { RunJournal } from '../../../lib/run/run-journal.ts';
import type { DataRecord, SafeRecord } from '../../../lib/run/run-state.ts';
import { StreamLog } from '../../../lib/run/stream-log.ts';
import { memoryJournal } from '../../support/memory-journal.ts';
import { memoryDisk } from '../../support/memory-work-folder.ts';

const MIB = 1024 * 1024;
const UPLOAD = { key: 'k', id: 'u', partBytes: MIB, crc32: false };

const part = (number: number, bytes = MIB) => ({
  number,
  bytes,
  etag: `e${number}`,
  crc32: undefined,
  md5: undefined,
});
const point = (bytes: number) => ({ units: 1, rows: bytes, bytes, counts: {}, memory: new Uint8Array(1) });
const POSITION = { set: 0, after: '1', idsSeen: 1, missing: 0 };
const dataOf = (bytes: number) =>
  ({ kind: 'data', encoded: { bytes }, sha256: 'x' }) as unknown as DataRecord;

async function scene(data?: DataRecord, failing?: Error) {
  const store = memoryJournal();
  const { append } = store.journal;
  const journal = new RunJournal({
    ...store.journal,
    append: (record) => (failing === undefined ? append(record) : Promise.reject(failing)),
  });
  const memory = await memoryDisk().open().grow('work/memory', 0);
  const rolling = new RollingCheck();
  const checkpoints = new Checkpoints(journal, memory, async () => {});
  const log = new StreamLog({ journal, checkpoints, rolling, from: undefined, data });
  const recorded = () => store.reopened().records as readonly RunRecord[];
  return { log, rolling, recorded };
}

type RunRecord = SafeRecord | { readonly kind: 'upload' | 'part' | 'data' | 'publishing' };

describe('StreamLog', () => {
  test('puts a safe point on record once all parts that hold its bytes are confirmed', async () => {
    const { log, rolling, recorded } = await scene();
    const safe = () => recorded().flatMap((record) => (record.kind === 'safe' ? [record.point.bytes] : []));
    await log.begun(UPLOAD);
    rolling.take(new Uint8Array(3 * MIB));
    log.safe(point(MIB), POSITION);
    log.safe(point(MIB + 1), POSITION);
    log.safe(point(2 * MIB), POSITION);
    log.confirmed(part(2));
    await log.settled();
    expect(safe()).toEqual([]);
    log.confirmed(part(1));
    await log.settled();
    expect(safe().at(-1)).toBe(2 * MIB);
  });

  test('puts a part on record with the check of all bytes up to its end', async () => {
    const { log, rolling, recorded } = await scene();
    await log.begun(UPLOAD);
    rolling.take(new Uint8Array(MIB));
    const check = rolling.value;
    rolling.take(new Uint8Array(MIB));
    log.confirmed(part(1));
    await log.settled();
    expect(recorded().at(-1)).toMatchObject({ kind: 'part', number: 1, check });
  });

  test("puts the stream's end on record before the last part", async () => {
    const { log, rolling, recorded } = await scene();
    await log.begun(UPLOAD);
    rolling.take(new Uint8Array(7));
    log.ended(dataOf(7));
    log.confirmed(part(1, 7));
    await log.publishing({ bytes: 7, etag: 'e' });
    expect(recorded().map(({ kind }) => kind)).toEqual(['upload', 'data', 'part', 'publishing']);
  });

  for (const [made, what] of [
    [dataOf(8), '8 were made'],
    [undefined, 'not all were made'],
  ] as const) {
    test(`lets nothing be published of which ${what}`, async () => {
      const { log, recorded } = await scene(made);
      await log.begun(UPLOAD);
      const refused = await log.publishing({ bytes: 7, etag: 'e' }).catch((error: unknown) => error);
      expect((refused as ToolError).code).toBe('integrity');
      expect((refused as ToolError).message).toBe(
        `Cannot publish the stream: the store has 7 bytes of it, and ${what}.`,
      );
      expect(recorded().map(({ kind }) => kind)).toEqual(['upload']);
    });
  }

  test('tells of a journal that cannot be written with the next step', async () => {
    const full = new ToolError('store', 'The disk is full.');
    const { log } = await scene(dataOf(7), full);
    log.confirmed(part(1, 7));
    const published = await log.publishing({ bytes: 7, etag: 'e' }).catch((error: unknown) => error);
    expect(published).toBe(full);
    expect(() => log.safe(point(7), POSITION)).toThrow(full);
  });
});
