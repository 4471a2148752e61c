/** What an upload's id tells: Supabase makes it of the path and the version of the object that it is to become. */
export interface TusId {
  /** `bucket/key` */
  readonly path: string;
  readonly version: string;
}

/** Undefined for an id of another make. */
export function readTusId(id: string): TusId | undefined {
  const text = Buffer.from(id, 'base64url').toString();
  const [, path, version] = /^(.+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/is.exec(text) ?? [];
  return path === undefined || version === undefined ? undefined : { path, version };
}
