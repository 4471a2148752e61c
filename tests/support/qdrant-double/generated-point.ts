import type { PointId } from '../../../lib/model.ts';
import { canonicalJson } from './canonical-payload.ts';
import { ExactNumber, type Json, type JsonObject } from './exact-json.ts';
import { type GeneratedCollection, generatedId } from './generated-id.ts';

/** How many different bodies a collection's points are made of; ids and serials make every point its own. */
export const TEMPLATES = 1024;
/** Different float32 values that vectors are drawn from; their texts are made once. */
const VALUES = 16_384;
/** The serial that templates hold in place of a point's own. */
export const SERIAL_PLACEHOLDER = '000000000000';

export interface GeneratedPoint {
  readonly id: PointId;
  readonly vector: Float32Array;
  /** Integers beyond 2^53 are bigints. */
  readonly payload: Record<string, unknown>;
  /** Compact, keys by code point, integers as digits, doubles as ECMAScript spells them with `.0` where whole. */
  readonly payloadJson: string;
}

/** The point at a position, as both protocols must deliver it. */
export function generatedPoint(collection: GeneratedCollection, index: number): GeneratedPoint {
  const payload = templatePayload(collection, templateOf(index));
  if ('serial' in payload) payload.serial = serialOf(index);
  return {
    id: generatedId(collection, index),
    vector: templateVector(collection, templateOf(index)),
    payload: plainValue(payload) as Record<string, unknown>,
    payloadJson: canonicalJson(payload),
  };
}

/** Which body a point has: scattered, so that a mix-up of neighbours shows. */
export function templateOf(index: number): number {
  return (Math.imul(index, 0x9e3779b1) >>> 0) % TEMPLATES;
}

export function serialOf(index: number): string {
  return String(index).padStart(SERIAL_PLACEHOLDER.length, '0');
}

/** Numbers of the value pool that make up a template's vector. */
export function templateVectorPicks(collection: GeneratedCollection, template: number): Uint16Array {
  const random = randomNumbers(`${collection.name} vector ${template}`);
  return Uint16Array.from({ length: collection.dimensions }, () => Math.floor(random() * VALUES));
}

function templateVector(collection: GeneratedCollection, template: number): Float32Array {
  const pool = vectorValues(collection.dimensions);
  return Float32Array.from(templateVectorPicks(collection, template), (pick) => pool[pick] as number);
}

const pools = new Map<number, Float32Array>();

/** The pool: normally distributed, so that a vector's length is about 1. */
export function vectorValues(dimensions: number): Float32Array {
  let pool = pools.get(dimensions);
  if (pool === undefined) {
    const random = randomNumbers(`values of ${dimensions} dimensions`);
    pool = Float32Array.from({ length: VALUES }, () => normal(random) / Math.sqrt(dimensions));
    pools.set(dimensions, pool);
  }
  return pool;
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A template's payload in the order the server keeps it, which is not the canonical one. */
export function templatePayload(collection: GeneratedCollection, template: number): JsonObject {
  const wanted = collection.payloadBytes ?? 350;
  if (wanted === 0) return collection.keys === true ? { key: `document ${template}` } : {};
  const random = randomNumbers(`${collection.name} payload ${template}`);
  const integer = (below: number): ExactNumber => new ExactNumber(String(Math.floor(random() * below)));
  const payload: JsonObject = {
    serial: SERIAL_PLACEHOLDER,
    ...(collection.keys === true ? { key: `document/${template}` } : {}),
    title: TITLES[template % TITLES.length] as string,
    snowflake: new ExactNumber(String(1_789_346_712_345_678_901n + BigInt(template))),
    views: integer(3_000_000_000),
    change: new ExactNumber(`-${1 + Math.floor(random() * 1000)}`),
    score: new ExactNumber(String(1 + Math.floor(random() * 1e6) / 1e7)),
    whole: new ExactNumber(`${Math.floor(random() * 100)}.0`),
    published: random() < 0.5,
    deleted_at: null,
    tags: ['α', 'tag two', `t${template % 7}`],
    author: { name: 'Zoë "Z" O\\Neil', id: integer(100_000) },
  };
  const missing = wanted - canonicalJson(payload).length - '"text":"",'.length;
  // A letter each way, so that lengths differ a little from point to point.
  if (missing > 0) payload.text = words(random, missing + Math.floor(random() * 7) - 3);
  return payload;
}

const TITLES = [
  'A plain title',
  'Ein Titel mit Umlauten: äöüß',
  '漢字 and 😀',
  'quote " slash \\ newline \n tab \t',
  '</script>&< nul \u0000 del \u007f',
];

function words(random: () => number, length: number): string {
  let text = '';
  while (text.length < length) text += `${WORDS[Math.floor(random() * WORDS.length)]} `;
  return text.slice(0, Math.max(0, length));
}

const WORDS = ['lorem', 'ipsum', 'dolor', 'sit', 'amet', 'consectetur', 'adipiscing', 'elit', 'sed', 'do'];

function plainValue(value: Json): unknown {
  if (value instanceof ExactNumber) {
    if (!value.isInteger) return value.value;
    return Number.isSafeInteger(value.value) ? value.value : BigInt(value.source);
  }
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainValue(item)]));
}

/** Deterministic numbers in [0, 1): mulberry32 on an FNV-1a hash of the seed. */
function randomNumbers(seed: string): () => number {
  let state = 0x811c9dc5;
  for (let at = 0; at < seed.length; at++) state = Math.imul(state ^ seed.charCodeAt(at), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
