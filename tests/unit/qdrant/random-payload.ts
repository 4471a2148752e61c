/** A JSON value that tells integers from doubles, as payloads do. */
export type Json =
  | null
  | boolean
  | string
  | { readonly int: bigint }
  | { readonly double: number }
  | readonly Json[]
  | ReadonlyMap<string, Json>;

export type JsonObject = ReadonlyMap<string, Json>;

/** Random numbers in [0, 1). */
type Random = () => number;

/** Names that look alike, sort strangely, or mean something to JavaScript. */
const NAMES = [
  ...[
    '',
    'a',
    'b',
    'ab',
    'a!',
    'a"',
    'a\\',
    'a\n',
    'a\u0000',
    'A',
    'key',
    'Key',
    'é',
    'e\u0301',
    '漢',
    '～',
    '😀',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    '0',
    '10',
    '2',
    '\u0000',
    '\u001f',
    '\u007f',
    '\ufeff',
    '\uffff',
    '/',
  ],
];

const CHARACTERS = [
  ...[
    'a',
    'Z',
    '0',
    ' ',
    '"',
    '\\',
    '/',
    '\u0000',
    '\b',
    '\t',
    '\n',
    '\f',
    '\r',
    '\u001f',
    '\u007f',
    '\u0080',
    'é',
  ],
  ...[
    '߿',
    'ࠀ',
    '漢',
    '\u2028',
    '\ud7ff',
    '\ue000',
    '\ufeff',
    '\ufffd',
    '\uffff',
    '😀',
    '\u{10000}',
    '\u{10ffff}',
  ],
];

const INTEGERS = [
  ...['0', '-1', '9007199254740993', '-9007199254740993', '9223372036854775807', '-9223372036854775808'],
  ...[
    '9223372036854775808',
    '18446744073709551615',
    '-9223372036854775809',
    '123456789012345678901234567890',
  ],
].map(BigInt);

const DOUBLES = [
  ...[0, -0, 1, -1, 0.1, 1.5, 100, 1e15, 1e20, 1e21, 1e22, 1e-6, 1e-7, 5e-324, 2.2250738585072014e-308],
  ...[1.7976931348623157e308, 2 ** 53, 2 ** 63, 0.30000000000000004, 123456789012345680, 4.35, 1 / 3],
];

export function randomPayload(random: Random): JsonObject {
  return randomObject(random, 0);
}

function randomObject(random: Random, depth: number): JsonObject {
  const count = below(random, depth === 0 ? 9 : 5);
  return new Map(
    Array.from({ length: count }, () => [
      random() < 0.8 ? pick(random, NAMES) : randomText(random, 5),
      randomValue(random, depth + 1),
    ]),
  );
}

function randomValue(random: Random, depth: number): Json {
  switch (below(random, depth > 5 ? 6 : 8)) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return { int: pick(random, INTEGERS) };
    case 3:
      return { int: BigInt(below(random, 2 ** 40)) - 2n ** 39n };
    case 4:
      return { double: random() < 0.5 ? pick(random, DOUBLES) : randomDouble(random) };
    case 5:
      return randomText(random, random() < 0.05 ? 500 : 12);
    case 6:
      return Array.from({ length: below(random, 5) }, () => randomValue(random, depth + 1));
    default:
      return randomObject(random, depth);
  }
}

function randomText(random: Random, longest: number): string {
  return Array.from({ length: below(random, longest + 1) }, () => pick(random, CHARACTERS)).join('');
}

/** Of any bit pattern that is finite. */
function randomDouble(random: Random): number {
  const [value] = new Float64Array(new Uint32Array([random() * 2 ** 32, random() * 2 ** 32]).buffer);
  return Number.isFinite(value) ? (value as number) : 0.5;
}

/** One of the many JSON texts of a value: members in any order, white space, escapes, spellings of doubles. */
export function spelled(random: Random, value: Json): string {
  const space = () => (random() < 0.8 ? '' : pick(random, [' ', '\n', '\t', '\r\n', '  ']));
  const inside = (parts: readonly string[]) => parts.map((part) => space() + part + space()).join() + space();
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return spelledText(random, value);
  if ('int' in value) return String(value.int);
  if ('double' in value) return spelledDouble(random, value.double);
  if (Array.isArray(value)) return `[${inside(value.map((item: Json) => spelled(random, item)))}]`;
  const members = [...(value as JsonObject)].sort(() => random() - 0.5);
  const texts = members.map(
    ([name, member]) => `${spelledText(random, name)}${space()}:${space()}${spelled(random, member)}`,
  );
  return `{${inside(texts)}}`;
}

function spelledText(random: Random, text: string): string {
  const characters = [...text].map((character) => {
    const plain = JSON.stringify(character).slice(1, -1);
    if (character === '/' && random() < 0.5) return '\\/';
    return random() < 0.7 ? plain : escaped(random, character);
  });
  return `"${characters.join('')}"`;
}

/** By four hex digits a UTF-16 unit, in either case. */
function escaped(random: Random, character: string): string {
  return Array.from({ length: character.length }, (_, i) => {
    const hex = character.charCodeAt(i).toString(16).padStart(4, '0');
    return `\\u${random() < 0.5 ? hex : hex.toUpperCase()}`;
  }).join('');
}

function spelledDouble(random: Random, value: number): string {
  const sign = Object.is(value, -0) ? '-' : '';
  const plain = sign + String(value);
  const asDouble = /[.e]/.test(plain) ? plain : `${plain}.0`;
  switch (below(random, 5)) {
    case 0:
      return (
        sign +
        value
          .toExponential()
          .replace('e', random() < 0.5 ? 'E' : 'e')
          .replace('+', random() < 0.5 ? '' : '+')
      );
    case 1: {
      const precise = sign + value.toPrecision(18 + below(random, 4));
      return /[.e]/.test(precise) ? precise : `${precise}e0`;
    }
    case 2:
      return /e/.test(asDouble) ? asDouble : asDouble + '0'.repeat(below(random, 20));
    default:
      return asDouble;
  }
}

function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[below(random, list.length)] as T;
}
