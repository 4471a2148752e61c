/** What a payload is to have beside one of every kind of value. */
export interface RichPayloadOptions {
  /** Length of one string in it, in bytes. */
  readonly bytes?: number;
  /** How many objects and lists lie within one another, the payload itself being the first. */
  readonly depth?: number;
}

/** Members of every kind of JSON value that both protocols carry exactly: integers within i64, any double. */
const EVERY_KIND = [
  '"":"empty name"',
  '"dotted.name":[]',
  '"we\\"ird\\\\name":{}',
  '"\\u0000":"nul \\u0000 bell \\u0007 line \\u2028"',
  '"ключ":"é 漢字 😀"',
  '"escapes":"\\" \\\\ / \\b\\f\\n\\r\\t"',
  '"integers":[0,-1,9007199254740993,9223372036854775807,-9223372036854775808]',
  '"doubles":[1.0,-0.0,0.1,1e21,5e-324,1.7976931348623157e308]',
  '"others":[true,false,null,[[]],{"a":{}}]',
].join(',');

/** JSON text of a payload, for the setting `payload` of a generated collection. */
export function richPayload({ bytes = 0, depth = 0 }: RichPayloadOptions = {}): string {
  const long = bytes === 0 ? '' : `,"long":"${'lorem ipsum '.repeat(Math.ceil(bytes / 12)).slice(0, bytes)}"`;
  const deep = depth === 0 ? '' : `,"deep":${nested(depth - 1)}`;
  return `{${EVERY_KIND}${long}${deep}}`;
}

/** Objects and lists in turn. */
function nested(depth: number): string {
  if (depth <= 0) return '"bottom"';
  return depth % 2 === 0 ? `{"d":${nested(depth - 1)}}` : `[${nested(depth - 1)}]`;
}
