import { describe, expect, test } from 'bun:test';
import { crc32 as crc32Now } from 'node:zlib';
import { ToolError } from '../../../lib/errors.ts';
import type { ExportEvent } from '../../../lib/plan.ts';
import { readBack } from '../../../lib/run/read-back.ts';
import type { ByteStream, Destination, Objects } from '../../../lib/storage/storage.ts';
import { etagOf, memoryStore } from '../../support/memory-store.ts';
import {
  KEY,
  keysOf,
  type Left,
  MANIFEST_KEY,
  manifestOf,
  nothing,
  PLAIN,
  run,
} from '../../support/split-scene.ts';

const BYTES = new TextEncoder().encode('what was sent');
const RECEIPT = { location: 'memory:k', bytes: BYTES.length, etag: etagOf(BYTES) };

function read(open?: Objects['open'], signal = new AbortController().signal, bytes = BYTES.length) {
  const store = memoryStore(1_000);
  store.objects.set('k', { bytes: BYTES, etag: etagOf(BYTES) });
  const destination = store.destination();
  const objects = destination.objects && { ...destination.objects, ...(open && { open }) };
  const events: ExportEvent[] = [];
  const parts = {
    destination: { ...destination, ...(objects && { objects }) },
    emit: (event: ExportEvent) => events.push(event),
  };
  return readBack(parts, 'k', { ...RECEIPT, bytes }, signal).then(
    ({ sha256, crc32 }) => ({ sha256, crc32, error: undefined, events }),
    (error: ToolError) => ({ sha256: undefined, crc32: undefined, error, events }),
  );
}

describe('readBack()', () => {
  test('gives the hash of what the store has, and says how far it is', async () => {
    const { sha256, crc32, events } = await read();
    expect(crc32).toBe(crc32Now(BYTES));
    expect(sha256).toBe(new Bun.CryptoHasher('sha256').update(BYTES).digest('hex'));
    expect(events).toEqual([
      { kind: 'phase', phase: 'verify', total: BYTES.length },
      { kind: 'progress', rows: 0, bytes: BYTES.length },
    ]);
  });

  test('reads no object but the one that was published', async () => {
    const asked: unknown[] = [];
    const { error } = await read(async (key, etag) => {
      asked.push([key, etag]);
      return undefined;
    });
    expect(asked).toEqual([['k', RECEIPT.etag]]);
    expect(error?.code).toBe('store');
    expect(error?.message).toBe('Cannot read memory:k back to compute its SHA-256: it is not there.');
  });

  test('gives no hash of an object of another size', async () => {
    const { error } = await read(undefined, undefined, BYTES.length + 1);
    expect(error?.code).toBe('integrity');
    expect(error?.message).toBe('memory:k has 13 bytes where 14 were sent.');
  });

  test('stops when the run does', async () => {
    const stop = new AbortController();
    let chunks = 0;
    const body: ByteStream = new ReadableStream({
      pull(controller) {
        if (++chunks === 3) stop.abort(new ToolError('cancelled', 'Stopped by Ctrl+C.'));
        controller.enqueue(new Uint8Array(8));
        if (chunks === 100) controller.close();
      },
    });
    const { error } = await read(async () => body, stop.signal);
    expect(error?.message).toBe('Stopped by Ctrl+C.');
    expect(chunks).toBeLessThan(10);
  });
});

const flipped = (bytes: Uint8Array<ArrayBuffer>) => bytes.map((byte, at) => (at === 5 ? byte ^ 1 : byte));

/** A store that compares nothing; `open` and `list` as it has them, unless a test says otherwise. */
function unverified(left: Left, other: Partial<Objects> = {}): Partial<Destination> {
  const { objects } = left.store.destination();
  return { unverified: true, ...(objects && { objects: { ...objects, ...other } }) };
}

describe('a store that compares nothing', () => {
  const ways = { 'as a stream': { ...PLAIN, streaming: true }, 'by a file': PLAIN, split: {} } as const;

  for (const [way, plan] of Object.entries(ways)) {
    test(`is asked for every file that was put, ${way}`, async () => {
      const left = nothing();
      const read: string[] = [];
      const { objects } = left.store.destination();
      const open: Objects['open'] = async (key, etag, signal) => {
        if (etag !== undefined) read.push(key);
        return await objects?.open(key, etag, signal);
      };
      const { error, events } = await run(left, { plan, destination: unverified(left, { open }) });
      expect(error).toBeUndefined();
      expect(read).toEqual(manifestOf(left).files.map(({ key }) => key));
      expect(events).toContainEqual({
        kind: 'phase',
        phase: 'verify',
        total: manifestOf(left).files[0]?.bytes ?? 0,
      });
    });

    test(`is found out where it has other bytes, which are removed, ${way}`, async () => {
      const left = nothing();
      let put = 0;
      const change = (key: string, bytes: Uint8Array<ArrayBuffer>) =>
        key !== MANIFEST_KEY && ++put === (way === 'split' ? 3 : 1) ? flipped(bytes) : bytes;
      const { error, isResumable } = await run(left, {
        plan,
        hooks: { change },
        destination: unverified(left),
      });
      expect(error?.code).toBe('integrity');
      expect(error?.message).toMatch(
        /^memory:\S+ is not what was sent: read back, its SHA-256 is \w{64} where \w{64} is wanted\. It was removed: run the export again\.$/,
      );
      expect(isResumable).toBe(false);
      expect(keysOf(left)).toEqual([]);
      expect(left.disk.records()).toEqual([]);
      expect([...left.disk.files.keys()]).toEqual([]);
    });

    test(`is asked again by a run that goes on, when the other one ended before it was compared, ${way}`, async () => {
      const from = nothing();
      const open: Objects['open'] = async (_, etag) => {
        throw new ToolError('store', etag === undefined ? 'No manifest yet.' : 'Stopped.');
      };
      const stopped = await run(from, { plan, destination: unverified(from, { open }) });
      expect(stopped.error?.message).toBe('Stopped.');
      expect(stopped.isResumable).toBe(true);
      const [key = ''] = keysOf(from);
      const there = from.store.objects.get(key);
      // Its entity tag says that it is the one: the store took it so.
      if (there !== undefined) from.store.objects.set(key, { ...there, bytes: flipped(there.bytes) });
      const { error } = await run(from, { plan: { ...plan, resume: true }, destination: unverified(from) });
      expect(error?.code).toBe('integrity');
      expect(keysOf(from)).toEqual([]);
    });
  }

  test('keeps the object of another run that took its place before it was compared', async () => {
    const left = nothing();
    const mine = new TextEncoder().encode('of another run');
    const published = (key: string) => void left.store.objects.set(key, { bytes: mine, etag: etagOf(mine) });
    const { error } = await run(left, { plan: PLAIN, hooks: { published }, destination: unverified(left) });
    expect(error?.code).toBe('store');
    expect(error?.message).toBe(
      `Cannot compare memory:${KEY} with what was sent: another run replaced or removed it meanwhile.`,
    );
    expect(left.store.objects.get(KEY)?.bytes).toEqual(mine);
    expect(keysOf(left)).toEqual([KEY]);
  });

  test('keeps what it does not let go, and that is told', async () => {
    const left = nothing();
    const remove = () => Promise.reject(new ToolError('store', 'No permission.'));
    const { error } = await run(left, {
      plan: PLAIN,
      hooks: { change: (_, bytes) => flipped(bytes) },
      destination: unverified(left, { remove }),
    });
    expect(error?.message).toEndWith(
      'is wanted. It must not be used, and could not be removed: No permission.',
    );
    expect(keysOf(left)).toEqual([KEY]);
  });

  test('is found out where it cut an object short', async () => {
    const left = nothing();
    const open = async () => new Response(new Uint8Array(7)).body as ByteStream;
    const { error } = await run(left, { plan: PLAIN, destination: unverified(left, { open }) });
    expect(error?.code).toBe('integrity');
    expect(error?.message).toContain(`memory:${KEY} has 7 bytes where`);
    expect(keysOf(left)).toEqual([]);
  });

  test('is not taken at its word for what it copied either', async () => {
    const left = nothing();
    const { objects } = left.store.destination();
    const copy: Objects['copy'] = async (from, to, source, signal) => {
      const receipt = await objects?.copy(from, to, source, signal);
      const there = left.store.objects.get(to);
      if (there === undefined || receipt === undefined) throw new Error('There is no copy.');
      left.store.objects.set(to, { ...there, bytes: flipped(there.bytes) });
      return receipt;
    };
    const { error } = await run(left, {
      plan: { ...PLAIN, keep: 2 },
      destination: unverified(left, { copy }),
    });
    expect(error?.code).toBe('integrity');
    expect(error?.message).toContain('memory:docs/19700101T000000Z.parquet is not what was sent');
    expect(keysOf(left)).toEqual([MANIFEST_KEY, KEY]);
  });
});

test('a store that compares what it takes is not asked for it again', async () => {
  const left = nothing();
  const { events } = await run(left, { plan: PLAIN });
  expect(events).not.toContainEqual(expect.objectContaining({ phase: 'verify' }));
});
