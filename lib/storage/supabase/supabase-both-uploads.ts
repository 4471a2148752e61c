import type { OpenUpload, OpenUploads } from '../storage.ts';
import type { SupabaseSettings } from './supabase-settings.ts';
import { readTusId } from './supabase-tus-id.ts';

type Way = 's3' | 'rest';

/**
 * Uploads that an earlier process left, whichever way they went: S3 keys may have been set, or taken away, since. Each is
 * asked for the way that it was begun; one whose way is closed now counts as gone, and that is told. `now` is the way that
 * this process goes, which has its keys.
 */
export function bothUploads(
  now: Way,
  ways: Readonly<Record<Way, OpenUploads | undefined>>,
  { bucket, onNote }: Pick<SupabaseSettings, 'bucket' | 'onNote'>,
): OpenUploads {
  const wayOf = (left: Pick<OpenUpload, 'key' | 'id'>): Way => (isResumable(left, bucket) ? 'rest' : 's3');
  return {
    async find(left, signal) {
      const way = wayOf(left);
      const uploads = ways[way];
      if (uploads === undefined) {
        onNote?.(`${stays(left, way, bucket)} The file is uploaded from its beginning.`);
        return undefined;
      }
      const found = await uploads.find(left, signal);
      if (found !== undefined && way !== now)
        onNote?.('The resumable upload (TUS) that was begun goes on as one.');
      return found;
    },
    async remove(left, signal) {
      const way = wayOf(left);
      return (
        (await ways[way]?.remove(left, signal)) ??
        (ways[way] === undefined ? stays(left, way, bucket) : undefined)
      );
    },
    async published(key, expected, signal) {
      return await ways[now]?.published(key, expected, signal);
    },
  };
}

/** Whether it is a resumable upload, as its id tells. */
export function isResumable({ key, id }: Pick<OpenUpload, 'key' | 'id'>, bucket: string): boolean {
  return readTusId(id)?.path === `${bucket}/${key}`;
}

function stays({ key, id }: Pick<OpenUpload, 'key' | 'id'>, way: Way, bucket: string): string {
  const upload = `The unfinished upload ${id} of supabase://${bucket}/${key}`;
  switch (way) {
    case 's3':
      return `${upload} went through the S3 endpoint, whose keys are not set now: it stays, and may cost storage until it is removed.`;
    case 'rest':
      return `${upload} went by SUPABASE_SERVICE_ROLE_KEY, which is not set now: it stays until Supabase drops it, after 24 hours in a hosted project.`;
  }
}
