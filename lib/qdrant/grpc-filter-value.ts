import { ToolError } from '../errors.ts';
import { type Json, JsonNumber, memberPath } from './grpc-filter-json.ts';

/** Characters of a value that an error repeats at most. */
const QUOTED = 40;
const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;
export const U64_MAX = 2n ** 64n - 1n;

/** A value of a filter and where it is. What is not as it has to be is a ToolError 'usage' that says where. */
export class FilterValue {
  readonly json: Json;
  readonly path: string;

  constructor(json: Json, path: string) {
    this.json = json;
    this.path = path;
  }

  /** An object of known members; `stranger` says of any other what it is not, after the place where it is. */
  object(known: readonly string[], stranger: string): FilterObject {
    const { json } = this;
    if (!(json instanceof Map)) throw this.wrong('an object');
    for (const [name, value] of json) {
      if (known.includes(name)) continue;
      throw new FilterValue(value, memberPath(this.path, name)).problem(`${stranger} (${known.join(', ')})`);
    }
    return new FilterObject(this, json);
  }

  /** Names of an object's members. */
  names(): readonly string[] {
    if (!(this.json instanceof Map)) throw this.wrong('an object');
    return [...this.json.keys()];
  }

  list(wanted = 'a list'): readonly FilterValue[] {
    if (!Array.isArray(this.json)) throw this.wrong(wanted);
    return this.json.map((item, i) => new FilterValue(item, `${this.path}[${i}]`));
  }

  text(): string {
    if (typeof this.json !== 'string') throw this.wrong('a text');
    return this.json;
  }

  flag(): boolean {
    if (typeof this.json !== 'boolean') throw this.wrong('true or false');
    return this.json;
  }

  /** A double; digits beyond its precision are rounded, as Qdrant does. */
  number(wanted = 'a number'): number {
    const value = this.json instanceof JsonNumber ? Number(this.json.source) : Number.NaN;
    if (!Number.isFinite(value)) throw this.wrong(wanted);
    return value;
  }

  i64(wanted = 'a whole number of 64 bits'): bigint {
    return this.#whole(I64_MIN, I64_MAX, wanted);
  }

  /** A whole number from 0 on. */
  u64(max = U64_MAX, wanted = `a whole number from 0 to ${max}`): bigint {
    return this.#whole(0n, max, wanted);
  }

  /** The digits have to be those of an integer: 1.0 is none to Qdrant, and neither is -0. */
  #whole(min: bigint, max: bigint, wanted: string): bigint {
    const { json } = this;
    if (!(json instanceof JsonNumber) || !/^(0|-?[1-9]\d*)$/.test(json.source)) throw this.wrong(wanted);
    const value = BigInt(json.source);
    if (value < min || value > max) throw this.wrong(wanted);
    return value;
  }

  wrong(wanted: string): ToolError {
    return this.problem(`is ${found(this.json)} where ${wanted} is wanted`);
  }

  problem(what: string): ToolError {
    return new ToolError('usage', `--filter: ${this.path === '' ? 'the whole of it' : this.path} ${what}.`);
  }
}

/** An object whose members were all known. */
export class FilterObject {
  readonly value: FilterValue;
  readonly #members: ReadonlyMap<string, Json>;

  constructor(value: FilterValue, members: ReadonlyMap<string, Json>) {
    this.value = value;
    this.#members = members;
  }

  required(name: string): FilterValue {
    const json = this.#members.get(name);
    if (json === undefined) throw this.value.problem(`has no ${name}`);
    return new FilterValue(json, memberPath(this.value.path, name));
  }

  /** Undefined where it is not there, or null, which Qdrant takes for the same. */
  optional(name: string): FilterValue | undefined {
    const json = this.#members.get(name);
    return json === undefined || json === null
      ? undefined
      : new FilterValue(json, memberPath(this.value.path, name));
  }
}

function found(json: Json): string {
  if (json instanceof JsonNumber) return json.source.slice(0, QUOTED);
  if (typeof json === 'string') return `"${json.slice(0, QUOTED)}"`;
  if (json === null || typeof json === 'boolean') return String(json);
  return json instanceof Map ? 'an object' : 'a list';
}
