import { describe, expect, test } from 'bun:test';
import { ToolError } from '../../../lib/errors.ts';
import type { ExportEvent } from '../../../lib/plan.ts';
import { readBack } from '../../../lib/run/read-back.ts';
import type { ByteStream, Objects } from '../../../lib/storage/storage.ts';
import { etagOf, memoryStore } from '../../support/memory-store.ts';

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
    (sha256) => ({ sha256, error: undefined, events }),
    (error: ToolError) => ({ sha256: undefined, error, events }),
  );
}

describe('readBack()', () => {
  test('gives the hash of what the store has, and says how far it is', async () => {
    const { sha256, events } = await read();
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
