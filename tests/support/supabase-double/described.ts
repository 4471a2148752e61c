import type { StoredObject } from './bucket-store.ts';

/** As lists and copies show an object. */
export function described(object: StoredObject, name: string) {
  return {
    name,
    id: object.id,
    updated_at: object.modified,
    created_at: object.createdAt,
    last_accessed_at: object.createdAt,
    metadata: {
      eTag: `"${object.etag}"`,
      size: object.size,
      mimetype: object.contentType,
      cacheControl: object.cacheControl,
      lastModified: object.modified,
      contentLength: object.size,
      httpStatusCode: 200,
    },
  };
}
