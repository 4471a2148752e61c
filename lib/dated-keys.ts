/** Keys of an export and of its manifest. */
export interface KeyPair {
  readonly key: string;
  readonly manifestKey: string;
}

/**
 * Keys of the dated copy of an export and of its manifest, beside those of the latest: `docs/20261123T004023Z.parquet`
 * (ISO 8601, basic form, UTC, whole seconds) beside `docs/latest.parquet`. They sort by time.
 */
export function datedKeys(key: string, manifestKey: string, at: Date): KeyPair {
  const time = timeName(at);
  return { key: renamed(key, time), manifestKey: renamed(manifestKey, time) };
}

/**
 * Whether `key` is one that datedKeys() makes beside `latestKey`, an export's or a manifest's: in the same folder, with the
 * same ending, and a moment that there is for its name. Only such objects are removed as old copies.
 */
export function isDatedKey(key: string, latestKey: string): boolean {
  const name = key.slice(folderOf(latestKey).length, key.length - endingOf(latestKey).length);
  return key === renamed(latestKey, name) && isTimeName(name);
}

/** Whether it is what timeName() makes of a moment that there is. */
export function isTimeName(name: string): boolean {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(name);
  if (parts === null) return false;
  const [, year, month, day, hour, minute, second] = parts;
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return !Number.isNaN(at.getTime()) && timeName(at) === name;
}

/** `20261123T004023Z`: sorts by time. */
export function timeName(at: Date): string {
  return at.toISOString().replace(/[-:]|\.\d+/g, '');
}

/** The key with another name in its folder. */
function renamed(key: string, name: string): string {
  return `${folderOf(key)}${name}${endingOf(key)}`;
}

function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

function endingOf(key: string): string {
  return /\.[^./]*$/.exec(key)?.[0] ?? '';
}
