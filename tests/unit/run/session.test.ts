import { describe, expect, test } from 'bun:test';
import type { ToolError } from '../../../lib/errors.ts';
import { startAt } from '../../../lib/run/session.ts';
import { memoryDisk } from '../../support/memory-work-folder.ts';

const safe = (memoryBytes: number) => ({
  kind: 'safe' as const,
  position: { set: 0, after: '9', idsSeen: 9, missing: 0 },
  point: { units: 3, rows: 9, bytes: 90, counts: { some: 1 } },
  memoryBytes,
});

function folder(bytes: number | undefined) {
  const all = Uint8Array.from({ length: bytes ?? 0 }, (_, index) => index % 251);
  return { all, work: memoryDisk(new Map(bytes === undefined ? [] : [['work/memory', all]])).open() };
}

describe('startAt()', () => {
  // More than one chunk, and more than what belongs to the point.
  for (const [wanted, there] of [
    [0, undefined],
    [0, 10],
    [10, 10],
    [200_000, 300_000],
  ] as const) {
    test(`gives ${wanted} bytes of memory where there are ${there ?? 'none'}`, async () => {
      const { all, work } = folder(there);
      const { assembled, position } = await startAt(safe(wanted), work);
      expect(assembled).toEqual({ ...safe(0).point, memory: all.slice(0, wanted) });
      expect(position.after).toBe('9');
    });
  }

  for (const there of [undefined, 0, 9]) {
    test(`refuses a point that needs 10 bytes where there are ${there ?? 'none'}`, async () => {
      const { work } = folder(there);
      const refused = (await startAt(safe(10), work).catch((error: unknown) => error)) as ToolError;
      expect(refused.code).toBe('integrity');
      expect(refused.message).toBe(
        `Cannot go on with the interrupted run: "work/memory" has ${there ?? 0} bytes, and the journal knows of 10. Run it again without --resume.`,
      );
    });
  }
});
