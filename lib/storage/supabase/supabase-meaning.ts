/** What an answer that is none of 2xx says. */
export interface Answer {
  /** The real one: most answers come with 400, and name it in their body. */
  readonly status: number;
  /** `NoSuchBucket`; undefined where the body names none, as those of resumable uploads do. */
  readonly code: string | undefined;
  /** The message, in the server's words; empty where there is no body. */
  readonly text: string;
  /** Not what Supabase sends: a page, JSON of another service, or nothing. */
  readonly foreign: boolean;
  /** Where a redirect leads. */
  readonly location: string | undefined;
}

/** All that a refusal can mean to somebody who has to do something about it. */
export type Meaning =
  | 'no key'
  | 'not a key'
  | 'expired key'
  | 'foreign key'
  | 'unprivileged'
  | 'no bucket'
  | 'no object'
  | 'no upload'
  | 'too large'
  | 'too large for a proxy'
  | 'type refused'
  | 'bad object key'
  | 'bad bucket name'
  | 'taken'
  | 'offset'
  | 'locked'
  | 'unknown project'
  | 'no route'
  | 'read-only'
  | 'paused'
  | 'restricted'
  | 'throttled'
  | 'failing'
  | 'redirect'
  | 'not Supabase'
  | 'no reason'
  | 'refused';

/** Of the codes that mean one thing; supabase.com/docs/guides/storage/debugging/error-codes. */
const MEANINGS: ReadonlyMap<string, Meaning> = new Map([
  ['NoSuchBucket', 'no bucket'],
  ['NoSuchKey', 'no object'],
  ['NoSuchUpload', 'no upload'],
  ['InvalidUploadId', 'no upload'],
  ['EntityTooLarge', 'too large'],
  ['InvalidMimeType', 'type refused'],
  ['InvalidKey', 'bad object key'],
  ['FST_ERR_BAD_URL', 'bad object key'],
  ['InvalidBucketName', 'bad bucket name'],
  ['KeyAlreadyExists', 'taken'],
  ['ResourceAlreadyExists', 'taken'],
  ['BucketAlreadyExists', 'taken'],
  ['ResourceLocked', 'locked'],
  ['LockTimeout', 'locked'],
  ['TenantNotFound', 'unknown project'],
  ['DatabaseReadOnly', 'read-only'],
  ['SlowDown', 'throttled'],
  ['InternalError', 'failing'],
  ['DatabaseTimeout', 'failing'],
]);

/** Body code first, then status; the text only where several things have both of these. */
export function meaningOf(answer: Answer): Meaning {
  const { status, code, text } = answer;
  const named = code === undefined ? undefined : MEANINGS.get(code);
  if (named !== undefined) return named;
  if (code === 'AccessDenied' || code === 'InvalidJWT') return keyMeaning(text);
  if (code === 'S3Error') return storeMeaning(status, text);
  if (code === 'InvalidRequest' && /'authorization'/.test(text)) return 'no key';
  if (code === 'InvalidRequest' && /^The related resource does not exist/.test(text)) return 'no bucket';
  if (status >= 300 && status < 400 && answer.location !== undefined) return 'redirect';
  if (/^Route \w+:.* not found$/.test(text)) return 'no route';
  return byStatus(answer);
}

/** An answer without a code that is known: of a resumable upload, of the gateway, or of somebody else. */
function byStatus(answer: Answer): Meaning {
  const { status, code, text } = answer;
  // 540 and 402: supabase.com/docs/guides/platform/http-status-codes
  if (status === 540) return 'paused';
  if (status === 402) return 'restricted';
  if (status === 429) return 'throttled';
  if (status === 423) return 'locked';
  // The server behind, when a folder or a file cannot have that name.
  if (/\bENAMETOOLONG\b/.test(text)) return 'bad object key';
  // 501 and 505 are about the request itself.
  if (status === 408 || (status >= 500 && status !== 501 && status !== 505)) return 'failing';
  if (answer.foreign) return status === 413 ? 'too large for a proxy' : 'not Supabase';
  if (status === 401) return 'not a key';
  if (status === 403) return /header required$/.test(text) ? 'refused' : keyMeaning(text);
  if (status === 404 || status === 410) return missingMeaning(text);
  if (status === 409) return conflictMeaning(text);
  // The latter is of more bytes than a resumable upload was begun for.
  if (status === 413) return text !== "upload's size exceeded" ? 'too large' : 'refused';
  if (status === 415) return 'type refused';
  if (code === undefined && text === '') return 'no reason';
  return code === undefined ? textMeaning(text) : 'refused';
}

/** Of an upload's address (a HEAD has no text), or of servers before they sent codes. */
function missingMeaning(text: string): Meaning {
  if (text === 'Bucket not found') return 'no bucket';
  if (text === 'Object not found') return 'no object';
  return text === '' || text.startsWith('The file for this url') ? 'no upload' : 'no route';
}

/** Resumable uploads have two kinds of conflict: going on ends the one, and would last for ever with the other. */
function conflictMeaning(text: string): Meaning {
  if (text.startsWith('Upload-Offset conflict')) return 'offset';
  return /already exists/.test(text) ? 'taken' : 'refused';
}

/** All of these are a 403 AccessDenied (of resumable uploads a bare 403). */
function keyMeaning(text: string): Meaning {
  if (/claim timestamp check failed/.test(text)) return 'expired key';
  if (/signature verification failed/.test(text)) return 'foreign key';
  return /JWS|JWT|"alg"/.test(text) ? 'not a key' : 'unprivileged';
}

/** The store behind Supabase Storage: its own code is all that its text says. */
function storeMeaning(status: number, text: string): Meaning {
  if (status === 429 || text === 'SlowDown') return 'throttled';
  if (status === 408 || (status >= 500 && status !== 501)) return 'failing';
  return text === 'KeyTooLongError' ? 'bad object key' : 'refused';
}

/** A 400 of a resumable upload. */
function textMeaning(text: string): Meaning {
  if (text.startsWith('Invalid key:')) return 'bad object key';
  if (text === 'Bucket name invalid') return 'bad bucket name';
  return text === 'Invalid upload id' ? 'no upload' : 'refused';
}
