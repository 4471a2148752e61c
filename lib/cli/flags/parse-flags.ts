import { parseArgs } from 'node:util';
import { ToolError } from '../../errors.ts';
import { grouped } from '../screen/human-numbers.ts';
import type { Environment } from '../settings/env.ts';
import { closest } from './closest.ts';
import type { BytesFlag, ChoiceFlag, Flag, FlagTable, IntegerFlag, SwitchFlag, TextsFlag } from './flags.ts';
import { readBytes } from './read-bytes.ts';

type HasDefault<F extends Flag, T> = F extends { readonly default: unknown } ? T : T | undefined;

type NumberOf<F extends ChoiceFlag> = F extends { readonly numbers: unknown } ? number : never;

/** The value a flag has once it is read: a switch is a boolean, the others undefined where nothing speaks. */
export type FlagValue<F extends Flag> = F extends SwitchFlag
  ? boolean
  : F extends TextsFlag
    ? readonly string[] | undefined
    : F extends IntegerFlag
      ? HasDefault<F, number>
      : F extends BytesFlag
        ? number | undefined
        : F extends ChoiceFlag
          ? HasDefault<F, F['choices'][number] | NumberOf<F>>
          : HasDefault<F, string>;

export interface Flags<T extends FlagTable> {
  readonly values: { readonly [Name in keyof T]: FlagValue<T[Name]> };
  /** What to call the source of a value in a sentence: `--url` or `QDRANT_URL`; undefined where none spoke. */
  source(name: keyof T): string | undefined;
}

/** What was typed, by flag name: the text, all texts of a flag that may be repeated, or true for a switch. */
export type Arguments = ReadonlyMap<string, string | readonly string[] | true>;

/**
 * Reads argv strictly: every argument is a flag of the table with a value where it wants one, given once unless
 * it may be repeated. Else a ToolError 'usage' that names the flag.
 *
 * Not citty's parseArgs: it takes unknown flags, gives a flag without its value the empty text, lets the last
 * of repeated flags win and reads `--no-x` as x = false. It stands on node:util's parser, whose tokens tell
 * all of these apart, and so does this.
 */
export function parseArguments(argv: readonly string[], table: FlagTable): Arguments {
  const given = new Map<string, string | string[] | true>();
  for (const token of tokensOf(argv, table)) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') throw new ToolError('usage', strayText(token.value, given));
    const flag = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
    if (flag === undefined) throw new ToolError('usage', unknownText(token.rawName, token.name, table));
    if (flag.kind === 'switch') {
      if (token.value !== undefined) {
        throw new ToolError('usage', `${token.rawName} takes no value, but was given ${quote(token.value)}.`);
      }
      given.set(token.name, true);
      continue;
    }
    const value = givenValue(token.rawName, token.value, token.inlineValue);
    if (flag.kind === 'texts') {
      const before = given.get(token.name);
      given.set(token.name, [...(Array.isArray(before) ? before : []), value]);
      continue;
    }
    if (given.has(token.name)) {
      throw new ToolError('usage', `${token.rawName} was given more than once, and is wanted once.`);
    }
    given.set(token.name, value);
  }
  return given;
}

/** Values of every flag of the table: what was typed, else its variable, else its default. */
export function resolveFlags<const T extends FlagTable>(
  given: Arguments,
  environment: Environment,
  table: T,
): Flags<T> {
  const values: Record<string, unknown> = {};
  const sources = new Map<keyof T, string>();
  for (const [name, flag] of Object.entries(table)) {
    const typed = given.get(name);
    if (flag.kind === 'switch') {
      values[name] = typed === true;
      if (typed === true) sources.set(name, `--${name}`);
      continue;
    }
    const isTyped = typed !== undefined && typed !== true;
    const said = isTyped ? typed : flag.env === undefined ? undefined : environment[flag.env];
    if (said === undefined) {
      values[name] = flag.kind === 'texts' || flag.kind === 'bytes' ? undefined : flag.default;
      continue;
    }
    const source = isTyped ? `--${name}` : (flag.env ?? '');
    values[name] = readValue(flag, said, source);
    sources.set(name, source);
  }
  // Filled from the same table that the type is made of.
  return { values: values as Flags<T>['values'], source: (name) => sources.get(name) };
}

/** A whole number from min to max; `source` is the flag or variable that the sentence names, `or` what else it takes. */
export function readInteger(text: string, min: number, max: number, source: string, or = ''): number {
  const wanted = `a whole number from ${grouped(min)} to ${grouped(max)}${or} is wanted`;
  if (!/^[+-]?\d+$/.test(text)) throw new ToolError('usage', `${source} is ${quote(text)}; ${wanted}.`);
  const number = Number(text);
  if (number < min || number > max) throw new ToolError('usage', `${source} is ${text}; ${wanted}.`);
  return number;
}

function readValue(
  flag: Exclude<Flag, SwitchFlag>,
  said: string | readonly string[],
  source: string,
): string | readonly string[] | number | undefined {
  if (flag.kind === 'texts') return readTexts(typeof said === 'string' ? [said] : said, source);
  // Only flags that may be repeated have several texts.
  const text = said as string;
  if (text === '') throw new ToolError('usage', `${source} is empty; a value is wanted.`);
  switch (flag.kind) {
    case 'text':
      return text;
    case 'integer':
      if (flag.auto && text === 'auto') return undefined;
      return readInteger(text, flag.min, flag.max, source, flag.auto ? ', or auto,' : '');
    case 'bytes':
      return readBytes(text, flag.min, source);
    case 'choice':
      return readChoice(flag, text, source);
  }
}

function readTexts(texts: readonly string[], source: string): readonly string[] {
  for (const [index, text] of texts.entries()) {
    if (text === '') throw new ToolError('usage', `${source} is empty; a value is wanted.`);
    if (texts.indexOf(text) < index) {
      throw new ToolError('usage', `${source} names ${quote(text)} more than once, and it is wanted once.`);
    }
  }
  return Object.freeze([...texts]);
}

function readChoice(flag: ChoiceFlag, text: string, source: string): string | number {
  if (flag.choices.includes(text)) return text;
  const { numbers } = flag;
  if (numbers !== undefined && /^[+-]?\d+$/.test(text)) {
    return readInteger(text, numbers.min, numbers.max, source, `, or ${listed(flag.choices)},`);
  }
  const range =
    numbers === undefined ? [] : [`a whole number from ${grouped(numbers.min)} to ${grouped(numbers.max)}`];
  const choices = listed([...flag.choices, ...range]);
  const near = closest(text, flag.choices);
  const hint = near === undefined ? '' : ` Did you mean ${near}?`;
  throw new ToolError('usage', `${source} is ${quote(text)}; it takes ${choices}.${hint}`);
}

function tokensOf(argv: readonly string[], table: FlagTable) {
  const options: Record<string, { type: 'boolean' | 'string'; short?: string }> = {};
  for (const [name, flag] of Object.entries(table)) {
    options[name] = { type: flag.kind === 'switch' ? 'boolean' : 'string' };
  }
  if (options.help !== undefined) options.help.short = 'h';
  return parseArgs({ args: [...argv], options, strict: false, tokens: true, allowPositionals: true }).tokens;
}

/** The value after a flag. One that begins with `-` is the next flag, unless it came through `=`. */
function givenValue(rawName: string, value: string | undefined, inline: boolean | undefined): string {
  if (value === undefined) throw new ToolError('usage', `${rawName} wants a value, and nothing follows it.`);
  if (!inline && value.startsWith('-') && value !== '-') {
    throw new ToolError(
      'usage',
      `${rawName} wants a value, but ${quote(value)} follows it; a value that begins with - goes as ${rawName}=VALUE.`,
    );
  }
  return value;
}

function strayText(value: string, given: Arguments): string {
  const last = [...given].at(-1);
  const after = last?.[1] === true ? ` (--${last[0]} takes no value)` : '';
  return `Nothing can be done with the argument ${quote(value)}${after}; every argument is a flag, such as --collection NAME.`;
}

function unknownText(rawName: string, name: string, table: FlagTable): string {
  const near = closest(name, Object.keys(table));
  const hint = near === undefined ? ' --help lists all of them.' : ` Did you mean --${near}?`;
  return `${rawName} is not a flag of this program.${hint}`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
