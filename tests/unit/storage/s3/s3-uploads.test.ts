import { describe, expect, test } from 'bun:test';
import { PATIENCE } from '../../../../lib/storage/patience.ts';
import type { Publication } from '../../../../lib/storage/s3/s3-publish.ts';
import type { ListedPart, PartsPage } from '../../../../lib/storage/s3/s3-upload-calls.ts';
import { s3Uploads } from '../../../../lib/storage/s3/s3-uploads.ts';
import type { UploadedPart } from '../../../../lib/storage/storage.ts';

const never = new AbortController().signal;
const PART = 100;

function part(number: number, bytes = PART): UploadedPart {
  return { number, bytes, etag: `"e${number}"`, crc32: `c${number}`, md5: undefined };
}

function listed(number: number, change: Partial<ListedPart> = {}): ListedPart {
  return { number, bytes: PART, etag: `e${number}`, crc32: `c${number}`, modified: undefined, ...change };
}

/** Uploads of a store that lists its parts in these pages, by what they are asked for with. */
function uploadsOf(pages: Readonly<Record<string, PartsPage>>) {
  const asked: string[] = [];
  const publicationOf = (key: string): Publication => {
    const limits = { signal: never, timeoutMs: 1000 };
    const listParts = async (_key: string, _id: string, after: string | undefined) => {
      asked.push(after ?? 'first');
      return pages[after ?? 'first'] as PartsPage;
    };
    return {
      // Of the calls, the one that find() makes.
      calls: { listParts } as unknown as Publication['calls'],
      key,
      location: `s3://b/${key}`,
      policy: { attempts: 1, baseMs: 1, capMs: 1 },
      onRetry: () => {},
      limits,
      decisive: limits,
      patience: PATIENCE,
      unverified: false,
      // Of these, find() makes none.
      objects: {} as Publication['objects'],
    };
  };
  const find = (parts: readonly UploadedPart[]) =>
    s3Uploads(publicationOf).find({ key: 'k', id: 'i', partBytes: PART, crc32: true, parts }, never);
  return { find, asked };
}

describe('find()', () => {
  test('find() reads all pages', async () => {
    const { find, asked } = uploadsOf({
      first: { parts: [listed(1), listed(2)], next: '2' },
      2: { parts: [listed(3)], next: '3' },
      3: { parts: [listed(4)], next: undefined },
    });
    const parts = [1, 2, 3, 4].map((number) => part(number));
    expect((await find(parts))?.parts).toEqual(parts);
    expect(asked).toEqual(['first', '2', '3']);
  });

  test('find() takes the last of a part that is listed twice, within a page and across pages', async () => {
    const old = { etag: 'old' };
    const { find } = uploadsOf({
      first: { parts: [listed(1, old), listed(1), listed(2, old)], next: '2' },
      2: { parts: [listed(2), listed(3), listed(3, old)], next: undefined },
    });
    expect((await find([part(1), part(2), part(3)]))?.parts).toEqual([part(1), part(2)]);
  });

  test('find() takes what was confirmed last of a part that was sent twice', async () => {
    const { find } = uploadsOf({ first: { parts: [listed(1)], next: undefined } });
    const old = { ...part(1), etag: '"old"' };
    expect((await find([old, part(1)]))?.parts).toEqual([part(1)]);
    expect((await find([part(1), old]))?.parts).toEqual([]);
  });

  test('find() compares entity tags whatever their quotes, and CRC-32 where both sides have one', async () => {
    const { find } = uploadsOf({
      first: { parts: [listed(1), listed(2, { crc32: undefined }), listed(3)], next: undefined },
    });
    const parts = [{ ...part(1), etag: 'e1' }, part(2), { ...part(3), crc32: undefined }];
    expect((await find(parts))?.parts).toEqual(parts);
  });

  test('find() stops behind a part that is shorter, and before one that is longer', async () => {
    const page = { parts: [listed(1), listed(2, { bytes: 7 }), listed(3)], next: undefined };
    const { find } = uploadsOf({ first: page });
    expect((await find([part(1), part(2, 7), part(3)]))?.parts).toEqual([part(1), part(2, 7)]);
    const longer = uploadsOf({ first: { parts: [listed(1, { bytes: 101 })], next: undefined } });
    expect((await longer.find([part(1, 101)]))?.parts).toEqual([]);
  });

  test('find() takes the last to be stored of a part that is listed twice, where the store tells times', async () => {
    const [early, late] = [new Date(1000), new Date(2000)];
    const { find } = uploadsOf({
      first: {
        parts: [
          listed(1, { modified: late }),
          listed(1, { modified: early, etag: 'old' }),
          listed(2, { modified: early }),
          listed(2, { modified: late, etag: 'new' }),
        ],
        next: undefined,
      },
    });
    expect((await find([part(1), part(2)]))?.parts).toEqual([part(1)]);
  });

  test('find() goes by the MD5 where a store lists no sizes, and trusts no other entity tag then', async () => {
    const unsized = { bytes: undefined, crc32: undefined };
    const { find } = uploadsOf({
      first: { parts: [listed(1, unsized), listed(2, unsized), listed(3, unsized)], next: undefined },
    });
    const good = [1, 2].map((number) => ({ ...part(number), md5: `e${number}` }));
    expect((await find([...good, part(3)]))?.parts).toEqual(good);
  });

  test('find() rejects where a store lists the same page for ever', async () => {
    const { find, asked } = uploadsOf({
      first: { parts: [listed(1)], next: '1' },
      1: { parts: [listed(1)], next: '1' },
    });
    const error = await find([part(1)]).catch((thrown) => thrown);
    expect(error.message).toContain('without end');
    expect(asked).toEqual(['first', '1']);
  });
});
