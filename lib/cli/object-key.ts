import { ToolError } from '../errors.ts';

/**
 * What every store takes in a key as it is: letters and digits of ASCII, what S3 calls safe, and what Supabase
 * takes beside it. Not `%`, so that the encoding can be undone; not `/`, which parts the key.
 */
const KEPT = /[A-Za-z0-9!\-_.*'() &$@=;:+,]/;

const FOLDER_KEPT = /[A-Za-z0-9!\-_.'() &$@=;+,]/;

/** S3's limit for a key: 1024 bytes of UTF-8. */
const MAX_KEY_BYTES = 1024;

/** `{prefix/}{collection}/latest.parquet`, each part percent-encoded. The prefix may have parts of its own. */
export function objectKey(prefix: string | undefined, collection: string): string {
  const folders = (prefix ?? '').replace(/^\/+|\/+$/g, '');
  const parts = folders === '' ? [] : folders.split('/');
  for (const part of parts) {
    if (part === '' || part === '.' || part === '..') {
      throw new ToolError(
        'usage',
        `--prefix is ${JSON.stringify(prefix)}; a path without empty parts, . and .. is wanted.`,
      );
    }
  }
  const key = [...parts, collection].map(encodeKeyPart).concat('latest.parquet').join('/');
  if (key.length > MAX_KEY_BYTES) {
    throw new ToolError(
      'usage',
      `The object key has ${key.length} bytes, and stores take ${MAX_KEY_BYTES}; a shorter --prefix is wanted.`,
    );
  }
  return key;
}

/**
 * A name as one part of an object key: bytes of its UTF-8 that some store refuses become `%XX`, and so do the
 * points of `.` and `..`, which would be steps of a path.
 */
export function encodeKeyPart(name: string): string {
  return encodeBytes(name, KEPT);
}

/** The same for a folder of this machine, where Windows takes less, a last point or blank not at all. */
export function encodeFolderName(name: string): string {
  const encoded = encodeBytes(name, FOLDER_KEPT);
  return encoded.replace(/[. ]$/, (last) => percent(last.charCodeAt(0)));
}

/** Undoes encodeKeyPart and encodeFolderName. */
export function decodeKeyPart(part: string): string {
  return decodeURIComponent(part);
}

function encodeBytes(name: string, kept: RegExp): string {
  let encoded = '';
  for (const byte of new TextEncoder().encode(name)) {
    const letter = String.fromCharCode(byte);
    encoded += byte < 0x80 && kept.test(letter) ? letter : percent(byte);
  }
  return encoded === '.' || encoded === '..' ? encoded.replaceAll('.', '%2E') : encoded;
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}
