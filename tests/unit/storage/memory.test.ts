import { describe, expect, test } from 'bun:test';
import { memoryDestination } from '../../../lib/storage/memory.ts';
import type { ByteStream } from '../../../lib/storage/storage.ts';

describe('memoryDestination()', () => {
  test('copies chunks whose memory is used again, Buffers too', async () => {
    const memory = Buffer.alloc(4);
    let chunks = 0;
    const body: ByteStream = new ReadableStream(
      {
        pull(controller) {
          if (chunks === 3) return controller.close();
          memory.fill(++chunks);
          controller.enqueue(memory);
        },
      },
      { highWaterMark: 0 },
    );
    const destination = memoryDestination();
    await destination.put({ key: 'k', body, estimatedBytes: 12, signal: new AbortController().signal });
    expect([...(destination.contents.get('k') ?? [])]).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
  });
});
