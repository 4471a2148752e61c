const DATE_TIME =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:([T ])(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;
const NANOS = 1_000_000_000n;

/**
 * Nanoseconds since 1970 of a text in the forms that Qdrant reads as a date (`FromStr for DateTimePayloadType` of
 * lib/segment/src/types.rs): RFC 3339, its kin with a space or an offset without colon, no offset meaning UTC,
 * without seconds, or a date alone. Undefined for any other text.
 */
export function parseDateTime(text: string): bigint | undefined {
  const match = DATE_TIME.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, separator, hour = '0', minute = '0', second, fraction = '', offset] = match;
  // Without seconds: `YYYY-MM-DD HH:MM` is the only form.
  if (separator !== undefined && second === undefined && (separator !== ' ' || offset !== undefined))
    return undefined;
  const parts = [year, month, day, hour, minute, second ?? '0'].map(Number) as SixNumbers;
  const ms = Date.UTC(parts[0], parts[1] - 1, parts[2], parts[3], parts[4], parts[5]);
  if (!isSameMoment(new Date(ms), parts)) return undefined;
  const utc = BigInt(ms / 1000 - offsetSeconds(offset));
  return utc * NANOS + BigInt(fraction.padEnd(9, '0'));
}

type SixNumbers = [number, number, number, number, number, number];

/** Date.UTC takes the 31st of February for the 3rd of March. */
function isSameMoment(date: Date, [year, month, day, hour, minute, second]: SixNumbers): boolean {
  return (
    date.getUTCFullYear() === year &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second
  );
}

function offsetSeconds(offset: string | undefined): number {
  if (offset === undefined || offset.toUpperCase() === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '');
  const seconds = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2) || '0') * 60;
  return offset.startsWith('-') ? -seconds : seconds;
}

/** A google.protobuf.Timestamp as nanoseconds since 1970. */
export function timestampNanos(timestamp: { readonly seconds: bigint; readonly nanos: number }): bigint {
  return timestamp.seconds * NANOS + BigInt(timestamp.nanos);
}

/** RFC 3339 in UTC with as many digits of a second as are needed. */
export function dateTimeText(nanos: bigint): string {
  const fraction = ((nanos % NANOS) + NANOS) % NANOS;
  const date = new Date(Number((nanos - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  return fraction === 0n ? `${date}Z` : `${date}.${String(fraction).padStart(9, '0').replace(/0+$/, '')}Z`;
}
