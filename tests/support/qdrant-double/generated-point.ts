import type { PointId } from '../../../lib/model.ts';
import { canonicalJson } from './canonical-payload.ts';
import type { ShardKey } from './collection.ts';
import { ExactNumber, type Json, type JsonObject, objectOf } from './exact-json.ts';
import { type GeneratedCollection, generatedId } from './generated-id.ts';
import { type GeneratedVector, generatedVectors, hasVector, templateVector } from './generated-vector.ts';
import { randomNumbers } from './random-numbers.ts';
import type { StoredPoint, StoredVector } from './stored-point.ts';

/** How many different bodies a collection's points are made of; ids and serials make every point its own. */
export const TEMPLATES = 1024;
/** The serial that templates hold in place of a point's own. */
export const SERIAL_PLACEHOLDER = '000000000000';

export interface GeneratedPoint {
  readonly id: PointId;
  /** By name, the unnamed one being ''; what the point lacks is not there. */
  readonly vectors: ReadonlyMap<string, StoredVector>;
  /** The unnamed dense vector; empty where there is none. */
  readonly vector: Float32Array;
  /** Integers beyond 2^53 are bigints. */
  readonly payload: Record<string, unknown>;
  /** Compact, keys by code point, integers as digits, doubles as ECMAScript spells them with `.0` where whole. */
  readonly payloadJson: string;
}

/** The point at a position, as both protocols must deliver it; with custom sharding, the one under a key. */
export function generatedPoint(
  collection: GeneratedCollection,
  index: number,
  shardKey?: ShardKey,
): GeneratedPoint {
  const point = generatedStoredPoint(collection, index, shardKey);
  const { id, payload, vectors } = point;
  const unnamed = vectors.get('');
  return {
    id,
    vectors,
    vector: unnamed?.kind === 'dense' ? unnamed.values : new Float32Array(),
    payload: plainValue(payload) as Record<string, unknown>,
    payloadJson: canonicalJson(payload),
  };
}

/** The same in the shape of a stored point; of a key that is no shard's, as the first shard's. */
export function generatedStoredPoint(
  collection: GeneratedCollection,
  index: number,
  shardKey?: ShardKey,
  vectors: readonly GeneratedVector[] = generatedVectors(collection),
): StoredPoint {
  const seed = seedOf(collection, index, shardKey);
  const template = templateOf(seed);
  const shown = vectors.filter((vector) => hasVector(vector, index));
  return {
    id: generatedId(collection, index),
    payload: ownPayload(collection, index) ?? withSerial(templatePayload(collection, template), seed),
    vectors: new Map(shown.map((vector) => [vector.name, templateVector(collection.name, vector, template)])),
    ...(shardKey === undefined ? {} : { shardKey }),
  };
}

/** The payload that the settings themselves give a point. */
export function ownPayload(collection: GeneratedCollection, index: number): JsonObject | undefined {
  const text = collection.payload?.(index);
  return text === undefined ? undefined : objectOf(text);
}

export function withSerial(payload: JsonObject, seed: number): JsonObject {
  return 'serial' in payload ? { ...payload, serial: serialOf(seed) } : payload;
}

/** Far more than a collection has points, and serials of twelve digits have room for 999 shards. */
const SEEDS_A_SHARD = 1e9;

/** What a point's body and serial depend on: its position, and under which of the shard keys it stands. */
export function seedOf({ shardKeys = [] }: GeneratedCollection, index: number, shardKey?: ShardKey): number {
  const shard = shardKeys.findIndex(({ key }) => key === shardKey);
  return index + Math.max(0, shard) * SEEDS_A_SHARD;
}

/** Which body a point has: scattered, so that a mix-up of neighbours shows. */
export function templateOf(seed: number): number {
  return (Math.imul(seed, 0x9e3779b1) >>> 0) % TEMPLATES;
}

export function serialOf(seed: number): string {
  return String(seed).padStart(SERIAL_PLACEHOLDER.length, '0');
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
