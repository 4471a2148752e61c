/** A google.protobuf.Timestamp: nanoseconds are counted from 0 on, before 1970 too. */
export interface Timestamp {
  readonly seconds: bigint;
  readonly nanos: number;
}

const DATE = /(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)/.source;
const SECONDS = /(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:\.(?<fraction>\d+))?/.source;
const ZONE = /(?<zone>[Zz]|[+-]\d\d(?::?\d\d)?)/.source;
const DATE_TIME = new RegExp(`^${DATE}[Tt ]${SECONDS}${ZONE}?$`);
/** Without seconds: behind a space, and without a zone. */
const MINUTES = new RegExp(`^${DATE} (?<hour>\\d\\d):(?<minute>\\d\\d)$`);
const DATE_ALONE = new RegExp(`^${DATE}$`);

/**
 * The moment that a text names in one of the forms that Qdrant reads as a date (`FromStr for
 * DateTimePayloadType` in its lib/segment/src/types.rs): RFC 3339; the same with a space or an offset without
 * colon; without an offset, which means UTC; to the minute; a date alone. Undefined for any other text.
 */
export function timestampOf(text: string): Timestamp | undefined {
  const match = DATE_TIME.exec(text) ?? MINUTES.exec(text) ?? DATE_ALONE.exec(text);
  if (match === null) return undefined;
  const part = (name: string) => Number(match.groups?.[name] ?? '0');
  const [month, day, hour, minute, second] = ['month', 'day', 'hour', 'minute', 'second'].map(part) as [
    number,
    number,
    number,
    number,
    number,
  ];
  // The 60th second is the next minute's first, as in the payload's own times.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  // Date.UTC takes years below 100 for those of the last century, and the 31st of February for the 3rd of March.
  date.setUTCFullYear(part('year'), month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  date.setUTCHours(hour, minute, second);
  const offset = offsetSeconds(match.groups?.zone ?? 'Z');
  if (offset === undefined) return undefined;
  const fraction = (match.groups?.fraction ?? '').slice(0, 9).padEnd(9, '0');
  return { seconds: BigInt(date.getTime() / 1000 - offset), nanos: Number(fraction) };
}

function offsetSeconds(zone: string): number | undefined {
  if (zone === 'Z' || zone === 'z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2));
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 3600 + minutes * 60);
}
