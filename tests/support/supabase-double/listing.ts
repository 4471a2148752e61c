import type { StoredBucket, StoredObject } from './bucket-store.ts';
import { refusals } from './refusal.ts';

export interface ListQuestion {
  readonly prefix: string;
  readonly delimiter: string | undefined;
  readonly limit: number;
  readonly token: string | undefined;
  /** Only what comes after this key. */
  readonly after: string | undefined;
}

export interface Listed {
  readonly objects: readonly StoredObject[];
  /** Common prefixes, with their last slash. */
  readonly folders: readonly string[];
  readonly next: { readonly token: string; readonly key: string } | undefined;
}

/** A page of a bucket in key order; nothing of one that is not there, or not for this asker. */
export function listed(bucket: StoredBucket | undefined, asked: ListQuestion): Listed {
  const { prefix, delimiter, limit } = asked;
  const after = asked.token === undefined ? asked.after : keyOfToken(asked.token);
  const keys = [...(bucket?.objects.keys() ?? [])].filter((key) => key.startsWith(prefix)).sort();
  const objects: StoredObject[] = [];
  const folders: string[] = [];
  let last = '';
  for (const key of keys) {
    const cut = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
    const name = cut < 0 ? key : key.slice(0, cut + 1);
    if (name === folders.at(-1)) continue;
    const place = cut < 0 ? key : name.slice(0, -1);
    if (after !== undefined && place <= after) continue;
    if (objects.length + folders.length === limit) {
      return { objects, folders, next: { token: tokenOf(last, asked.token !== undefined), key: last } };
    }
    if (cut < 0) objects.push(bucket?.objects.get(key) as StoredObject);
    else folders.push(name);
    last = place;
  }
  return { objects, folders, next: undefined };
}

/** From the second page on the real one adds the order. */
function tokenOf(key: string, isLater: boolean): string {
  return Buffer.from(`l:${key}${isLater ? '\no:asc' : ''}`).toString('base64');
}

function keyOfToken(token: string): string {
  const text = Buffer.from(token, 'base64').toString('utf8').split('\n')[0] as string;
  if (!text.startsWith('l:')) throw refusals.parameter('continuation token');
  return text.slice(2);
}
