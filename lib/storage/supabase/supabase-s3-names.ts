import {
  type Failure,
  foundText,
  type SettingNames,
  type StoreNames,
  type StoreWords,
} from '../s3/s3-words.ts';
import { type Answer, type Meaning, meaningOf } from './supabase-meaning.ts';
import { refusalSentence } from './supabase-sentences.ts';

/** Characters of the server's own words that are shown. */
const SHOWN_TEXT = 200;

const S3_KEYS: SettingNames = {
  id: 'SUPABASE_S3_ACCESS_KEY_ID',
  secret: 'SUPABASE_S3_SECRET_ACCESS_KEY',
  keys: 'SUPABASE_S3_ACCESS_KEY_ID and SUPABASE_S3_SECRET_ACCESS_KEY',
  region: 'SUPABASE_S3_REGION',
  endpoint: 'SUPABASE_URL',
  bucket: 'SUPABASE_STORAGE_BUCKET (or --bucket)',
};

const JWT = 'SUPABASE_SERVICE_ROLE_KEY';

/** Of credentials that are project ref, anon key and service_role JWT. */
const SESSION: SettingNames = {
  ...S3_KEYS,
  // The ref is in the project's address.
  id: 'SUPABASE_URL',
  secret: 'SUPABASE_ANON_KEY',
  keys: `${JWT} and SUPABASE_ANON_KEY`,
};

/** What Storage or a gateway before it may say, with the same words and settings at every door. */
const ANYBODYS: ReadonlySet<Meaning> = new Set([
  'too large',
  'locked',
  'paused',
  'restricted',
  'throttled',
  'failing',
]);

/** What only Storage says. */
const STORAGES: ReadonlySet<Meaning> = new Set([
  'no object',
  'no upload',
  'type refused',
  'bad object key',
  'unknown project',
  'read-only',
]);

/** How the S3 endpoint of Supabase Storage is spoken of; its credentials are S3 keys, or those of a session. */
export function supabaseS3Names(isSession: boolean): StoreNames {
  const settings = isSession ? SESSION : S3_KEYS;
  return {
    scheme: 'supabase',
    settings,
    explain: (failure, said, words) =>
      s3Sentence(failure, said, words, isSession) ?? sharedSentence(failure, said, words),
  };
}

/** What is said at this door alone, or has other settings to blame. */
function s3Sentence(
  failure: Failure,
  said: string,
  words: StoreWords,
  isSession: boolean,
): string | undefined {
  const { status, code } = failure;
  const { id, secret, keys, region, bucket } = words.names.settings;
  const at = words.endpoint ?? '';
  const found = foundWith(failure, said);
  switch (code) {
    case 'SignatureDoesNotMatch':
      return `${at} refused the signature (${foundText(failure)}): the secret or the region is not the project's. Check ${secret} and ${region}.`;
    case 'AccessDenied':
      if (said !== 'Invalid Access Key') {
        return isSession ? tokenSentence(found, said, words) : mayNot(found, words);
      }
      return isSession
        ? `${at} is not of the project that the keys belong to (${found}). Check ${id}, ${JWT} and ${secret}.`
        : `${at} does not know the access key (${found}). Check ${id}, and that SUPABASE_URL is of the same project.`;
    case 'NoSuchBucket':
      return (
        `there is no bucket "${words.bucket}" at ${at} (${found}). Check ${bucket}, or let --create-bucket make it, ` +
        'which wants SUPABASE_SERVICE_ROLE_KEY.'
      );
    case 'InvalidChecksum':
    case 'MissingPart':
      return `Supabase Storage does not have the parts as they were sent (${found}). Export again.`;
    case 'S3Error':
      if (status === 429 || (status !== undefined && status >= 500)) return undefined;
      return `the store behind Supabase Storage refused the request (${found}).`;
    default:
      if (status !== 403 || code !== undefined) return undefined;
      // A HEAD, which has no text.
      return `${at} refused the credentials for bucket "${words.bucket}" (403). Check ${keys}, and ${region}.`;
  }
}

/** Who has S3 keys may do everything, so that what of this they meet is not theirs to set right. */
function mayNot(found: string, { bucket, names }: StoreWords): string {
  const { settings } = names;
  return `the credentials may not do that in bucket "${bucket}" (${found}). Check ${settings.bucket} and ${settings.keys}.`;
}

/** Of a session's token, the service_role JWT: an sb_secret_… key is none. */
function tokenSentence(found: string, said: string, { endpoint, bucket }: StoreWords): string {
  const meaning = meaningOf(answerOf({ status: 403, code: 'AccessDenied' }, said));
  if (meaning === 'expired key') return `the key has expired (${found}). Set ${JWT} to one that is valid.`;
  if (meaning === 'foreign key') {
    return `the key is not of the project at ${endpoint} (${found}), or was replaced since. Check ${JWT} and SUPABASE_URL.`;
  }
  if (meaning === 'not a key') {
    return (
      `${endpoint} does not take the key for one (${found}). Set ${JWT} to the service_role JWT, whole, or use ` +
      `${S3_KEYS.keys}.`
    );
  }
  return (
    `the key may not do that in bucket "${bucket}" (${found}). Set ${JWT} to the service_role JWT, ` +
    'not to that of an anonymous or ordinary user.'
  );
}

/** What the other doors say as well. An answer without a code is of something in front of Storage, or of a HEAD. */
function sharedSentence(failure: Failure, said: string, words: StoreWords): string | undefined {
  const { status, code } = failure;
  if (status === undefined) return undefined;
  const answer = answerOf({ status, code }, said);
  const meaning = meaningOf(answer);
  const isShared = ANYBODYS.has(meaning) || (code !== undefined && STORAGES.has(meaning));
  return isShared ? shared(meaning, answer, words) : undefined;
}

function shared(meaning: Meaning, answer: Answer, { failed, endpoint, bucket }: StoreWords): string {
  return refusalSentence(meaning, answer, { failed, url: endpoint ?? '', bucket }).text;
}

/** Where the SDK found no code, its text is its own. */
function answerOf(
  { status, code }: { readonly status: number; readonly code: string | undefined },
  said: string,
): Answer {
  return { status, code, text: code === undefined ? '' : said, foreign: false, location: undefined };
}

/** `403 AccessDenied: Invalid Access Key`. */
function foundWith(failure: Failure, said: string): string {
  const found = foundText(failure);
  return failure.code === undefined || said === ''
    ? found
    : `${found}: ${said.slice(0, SHOWN_TEXT).replace(/\.$/, '')}`;
}
