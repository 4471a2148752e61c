import { ToolError } from '../../errors.ts';
import { retry } from '../../retry.ts';
import { unquoted } from '../etag.ts';
import type { OpenUpload, OpenUploads, UploadedPart } from '../storage.ts';
import { failureOf, isNoUpload } from './s3-errors.ts';
import { isExpected, type Publication } from './s3-publish.ts';
import { removeUpload } from './s3-remove.ts';
import type { ListedPart } from './s3-upload-calls.ts';

/** Uploads that an earlier process left. */
export function s3Uploads(publicationOf: (key: string, signal: AbortSignal) => Publication): OpenUploads {
  return {
    find: (left, signal) => findUpload(left, publicationOf(left.key, signal)),
    remove: ({ key, id }, signal) => removeUpload(publicationOf(key, signal), id),
    async published(key, expected, signal) {
      if (expected.etag === undefined && expected.mark === undefined) return undefined;
      const to = publicationOf(key, signal);
      try {
        const found = await retry(() => to.calls.head(key, to.limits), signal, to.policy, to.onRetry);
        if (found === undefined || !isExpected(found, expected)) return undefined;
        return { location: to.location, bytes: found.bytes, etag: found.etag };
      } catch (error) {
        // Without the right to list, S3 answers 403 for a key that holds nothing.
        if (failureOf(error).status === 403) return undefined;
        throw error;
      }
    },
  };
}

/**
 * Credentials that may not list the parts cannot go on with an upload, because nobody can say what it holds:
 * it is removed, and counts as gone.
 */
async function findUpload(left: OpenUpload, to: Publication): Promise<OpenUpload | undefined> {
  try {
    return { ...left, parts: goodParts(left, await listedParts(left, to)) };
  } catch (error) {
    const { status, code } = failureOf(error);
    if (isNoUpload(error) || (status === 404 && code !== 'NoSuchBucket')) return undefined;
    if (status !== 403) throw error;
    const remains = await removeUpload(to, left.id);
    if (remains === undefined) return undefined;
    const text = `Cannot go on with the upload of ${to.location}: the credentials may not list its parts. ${remains}`;
    throw new ToolError('store', text, { cause: error });
  }
}

/**
 * By number; of parts that are listed twice the last to be stored is what counts, in the order of the list where the
 * store tells no times. At most as many as an upload has: 10,000.
 */
async function listedParts(left: OpenUpload, to: Publication): Promise<ReadonlyMap<number, ListedPart>> {
  const listed = new Map<number, ListedPart>();
  let after: string | undefined;
  do {
    const from = after;
    const page = await retry(
      () => to.calls.listParts(left.key, left.id, from, to.limits),
      to.limits.signal,
      to.policy,
      to.onRetry,
    );
    for (const part of page.parts) {
      const other = listed.get(part.number);
      if (other === undefined || !isOlder(part, other)) listed.set(part.number, part);
    }
    if (page.next !== undefined && !(Number(page.next) > Number(from ?? 0))) {
      throw new ToolError(
        'store',
        `Cannot go on with the upload of ${to.location}: the store lists its parts without end (behind part ` +
          `${from ?? 0} it goes on behind part ${page.next}).`,
      );
    }
    after = page.next;
  } while (after !== undefined);
  return listed;
}

function isOlder(part: ListedPart, other: ListedPart): boolean {
  return part.modified !== undefined && other.modified !== undefined && part.modified < other.modified;
}

/** The first parts, up to a gap or to one that the store has otherwise. */
function goodParts(left: OpenUpload, listed: ReadonlyMap<number, ListedPart>): readonly UploadedPart[] {
  // A part that was sent twice is what was sent last.
  const ours = new Map(left.parts.map((part) => [part.number, part]));
  const good: UploadedPart[] = [];
  for (;;) {
    const part = ours.get(good.length + 1);
    const there = listed.get(good.length + 1);
    if (part === undefined || there === undefined) return good;
    if (!isSame(part, there) || part.bytes > left.partBytes) return good;
    good.push(part);
    // Behind a shorter part there is nothing more.
    if (part.bytes < left.partBytes) return good;
  }
}

function isSame(part: UploadedPart, there: ListedPart): boolean {
  const sameCrc = part.crc32 === undefined || there.crc32 === undefined || part.crc32 === there.crc32;
  // Where the store lists no sizes, the MD5 of the bytes says that they are those.
  const sameBytes = there.bytes === undefined ? isMd5Of(part, there) : part.bytes === there.bytes;
  return sameBytes && unquoted(part.etag) === there.etag && sameCrc;
}

function isMd5Of(part: UploadedPart, there: ListedPart): boolean {
  return part.md5 !== undefined && part.md5 === there.etag;
}
