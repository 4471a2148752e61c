import { ToolError } from '../../errors.ts';

/** How a name becomes a part of a key: letters that stay, and what begins the two digits of every other byte. */
export interface KeyEncoding {
  /** Of letters of ASCII; never the mark, so that the encoding can be undone, nor `/`, which parts the key. */
  readonly kept: RegExp;
  readonly mark: '%' | '=';
  /** Most bytes of a whole key. */
  readonly maxBytes: number;
  /** Most bytes between two slashes. */
  readonly maxPartBytes: number;
}

/**
 * For S3: letters and digits of ASCII, what S3 calls safe, and what every service takes beside it. Its limit for a key is
 * 1024 bytes of UTF-8.
 */
export const S3_KEYS: KeyEncoding = {
  kept: /[A-Za-z0-9!\-_.*'() &$@=;:+,]/,
  mark: '%',
  maxBytes: 1024,
  maxPartBytes: Number.POSITIVE_INFINITY,
};

/**
 * For Supabase, which refuses `%` itself: what it takes but for `=`, and but for `?`, at which its client cuts an address off. It
 * keeps an object under `{ref}/{bucket}/{key}/{version}`, of which 159 bytes may be others', and there each part has its limit.
 */
export const SUPABASE_KEYS: KeyEncoding = {
  kept: /[A-Za-z0-9!\-_.*'() &$@;:+,]/,
  mark: '=',
  maxBytes: 1024 - 159,
  maxPartBytes: 255,
};

const FOLDER_KEPT = /[A-Za-z0-9!\-_.'() &$@=;+,]/;

const LATEST = 'latest.parquet';

/**
 * `{prefix/}{collection}/latest.parquet`, each part encoded. The prefix may have parts of its own. A ToolError 'usage' for a
 * key that the store does not take, or one that would be with `longestName` in the place of the last part.
 */
export function objectKey(
  prefix: string | undefined,
  collection: string,
  encoding: KeyEncoding,
  longestName = LATEST,
): string {
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
  const encoded = parts.map((part) => encodeKeyPart(part, encoding));
  const folder = encodeKeyPart(collection, encoding);
  refuseLongPart(encoded, folder, encoding);
  const key = [...encoded, folder, LATEST].join('/');
  const bytes = key.length + longestName.length - LATEST.length;
  if (bytes > encoding.maxBytes) {
    throw new ToolError(
      'usage',
      `The object key has ${bytes} bytes, and stores take ${encoding.maxBytes}; a shorter --prefix is wanted.`,
    );
  }
  return key;
}

/**
 * A name as one part of an object key: bytes of its UTF-8 that some store refuses become `%XX`, or `=XX`, and so do the
 * points of `.` and `..`, which would be steps of a path.
 */
export function encodeKeyPart(name: string, { kept, mark }: KeyEncoding): string {
  return encodeBytes(name, kept, mark);
}

/** The same for a folder of this machine, where Windows takes less, a last point or blank not at all. */
export function encodeFolderName(name: string): string {
  const encoded = encodeBytes(name, FOLDER_KEPT, '%');
  return encoded.replace(/[. ]$/, (last) => escaped(last.charCodeAt(0), '%'));
}

/** Undoes encodeKeyPart, and encodeFolderName with S3_KEYS. */
export function decodeKeyPart(part: string, { mark }: KeyEncoding): string {
  // What is encoded by `=` has no `%` of its own.
  return decodeURIComponent(mark === '%' ? part : part.replaceAll('=', '%'));
}

function refuseLongPart(parts: readonly string[], folder: string, { maxPartBytes }: KeyEncoding): void {
  const limit = `and the store takes ${maxPartBytes} between two slashes`;
  if (folder.length > maxPartBytes) {
    throw new ToolError(
      'usage',
      `The collection's name makes a part of the object key of ${folder.length} bytes, ${limit}; an alias with a shorter name is wanted.`,
    );
  }
  const long = parts.find((part) => part.length > maxPartBytes);
  if (long === undefined) return;
  throw new ToolError(
    'usage',
    `--prefix makes a part of the object key of ${long.length} bytes, ${limit}; a shorter one is wanted.`,
  );
}

function encodeBytes(name: string, kept: RegExp, mark: '%' | '='): string {
  let encoded = '';
  for (const byte of new TextEncoder().encode(name)) {
    const letter = String.fromCharCode(byte);
    encoded += byte < 0x80 && kept.test(letter) ? letter : escaped(byte, mark);
  }
  return encoded === '.' || encoded === '..' ? encoded.replaceAll('.', escaped(0x2e, mark)) : encoded;
}

function escaped(byte: number, mark: '%' | '='): string {
  return `${mark}${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}
