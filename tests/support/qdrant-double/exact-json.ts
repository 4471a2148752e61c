/** A JSON number as it was written: ids and integers exceed what a double keeps, and 1 is not 1.0. */
export class ExactNumber {
  constructor(readonly source: string) {}

  /** Digits only: an integer for Qdrant as long as it fits 64 bits. */
  get isInteger(): boolean {
    return /^-?\d+$/.test(this.source) && this.source !== '-0';
  }

  get value(): number {
    return Number(this.source);
  }
}

export type Json = null | boolean | string | ExactNumber | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** Parses JSON and keeps every number's own spelling. Throws a SyntaxError like JSON.parse. */
export function parseExactJson(text: string): Json {
  // The reviver's third argument (its source text) is not in the ECMAScript library's types yet.
  const reviver = (_key: string, value: unknown, context: { source: string }): unknown =>
    typeof value === 'number' ? new ExactNumber(context.source) : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown) as Json;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
  );
}

/** Parses the text of a JSON object. */
export function objectOf(text: string): JsonObject {
  const json = parseExactJson(text);
  if (!isObject(json)) throw new Error(`not a JSON object: ${text.slice(0, 100)}`);
  return json;
}
